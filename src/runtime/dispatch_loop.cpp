#include "runtime/dispatch_loop.h"

#include <utility>

#include "runtime/log.h"

namespace treadle::runtime {

namespace event = core::event;
namespace effect = core::effect;

namespace {
constexpr Duration kReportEvery = 1s;    // of the workers, to the store, while anything happens
constexpr Duration kReportSoon = 100ms;  // when one has come or gone
constexpr Duration kReportShare = 40us;  // for each worker: a report of a large fleet takes about 1 us of each
}  // namespace

DispatchLoop::DispatchLoop(core::DispatcherConfig config, Rng rng, const Clock& clock, store::Store& store,
                           transport::DispatcherLink& link)
    : mode_(config.mode),
      name_(config.name),
      clock_(clock),
      store_(store),
      link_(link),
      core_(std::move(config), rng, clock.now()) {
  store_.on_work([this] { events_.push_back(event::WorkHint{}); });
  store_.on_revoke(
      [this](std::vector<core::Held> attempts) { events_.push_back(event::RevokeHint{std::move(attempts)}); });
  store_.on_follow([this](std::vector<TaskId> tasks) { events_.push_back(event::FollowHint{std::move(tasks)}); });
}

bool DispatchLoop::turn(Instant now) {
  if (now >= report_at_) report(now);
  gather(now);
  if (events_.empty() && now < core_.next_deadline()) return false;
  for (auto& e : std::exchange(events_, {})) core_.step(now, std::move(e));
  core::DispatcherEffects effects;
  core_.tick(now, effects);
  for (auto& e : effects) std::visit([this](auto& one) { carry_out(one); }, e);
  const Duration least = core_.worker_count() * kReportShare;
  const Duration pause = std::max(least, core_.worker_count() == reported_workers_ ? kReportEvery : kReportSoon);
  report_at_ = std::min(report_at_, std::max(reported_ + pause, now));
  return true;
}

// The seed's worker metadata, for whoever asks the store: /v1/workers may be asked in another process.
void DispatchLoop::report(Instant now) {
  reported_ = now;
  report_at_ = Instant::never();
  reported_workers_ = core_.worker_count();
  std::vector<store::WorkerReport> reports;
  for (const core::WorkerView& view : core_.workers()) reports.push_back(report_of(view, now));
  for (const core::WorkerView& view : core_.lost_workers()) reports.push_back(report_of(view, now));
  store_.report_workers(core_.session(), std::move(reports));
}

store::WorkerReport DispatchLoop::report_of(const core::WorkerView& view, Instant now) const {
  store::WorkerReport report;
  report.id = view.worker;
  report.dispatcher = name_;
  report.mode = mode_;
  report.state = !view.lost_why.empty() ? "lost" : view.draining ? "draining" : "ready";
  report.lost_why = view.lost_why;
  report.info = view.info;
  report.load = view.load;
  report.running = view.running;
  report.free_slots = view.free_slots;
  const Duration silent = view.info.in_process ? Duration{0} : now - view.last_heartbeat;
  report.last_heartbeat = {clock_.wall().ms - silent / 1ms};
  const std::size_t shown = std::min(view.current_tasks.size(), store::kCurrentTasksShown);
  report.current_tasks.assign(view.current_tasks.begin(), view.current_tasks.begin() + static_cast<long>(shown));
  return report;
}

void DispatchLoop::gather(Instant now) {
  for (auto& message : link_.receive(now)) events_.push_back(event::WorkerSaid{std::move(message)});
  for (const auto& note : link_.take_notes()) log(LogLevel::Warning, "link.dropped " + note);
  for (const WorkerId worker : link_.alive()) events_.push_back(event::WorkerAlive{worker});
  for (const WorkerId worker : link_.unroutable()) events_.push_back(event::WorkerUnroutable{worker});
}

void DispatchLoop::carry_out(effect::OpenSession& e) {
  store_.open_session(e.session, std::move(e.name),
                      [this](Result<void> answer) { events_.push_back(event::SessionOpened{std::move(answer)}); });
}

void DispatchLoop::carry_out(effect::Renew& e) {
  store_.renew(e.session, std::move(e.revokes_done),
               [this](Result<core::RenewAnswer> answer) { events_.push_back(event::Renewed{std::move(answer)}); });
}

void DispatchLoop::carry_out(effect::Reap& e) {
  store_.reap(e.other, e.beat_seen, [this, other = e.other](Result<bool> answer) {
    events_.push_back(event::Reaped{other, std::move(answer)});
  });
}

void DispatchLoop::carry_out(effect::Claim& e) {
  const std::uint64_t call = e.request.call;
  store_.claim(std::move(e.request), [this, call](Result<core::ClaimAnswer> answer) {
    events_.push_back(event::Claimed{call, std::move(answer)});
  });
}

void DispatchLoop::carry_out(effect::Finish& e) {
  store_.finish(e.session, std::move(e.items), [this, batch = e.batch](Result<std::vector<core::FinishAnswer>> answer) {
    events_.push_back(event::Finished{batch, std::move(answer)});
  });
}

void DispatchLoop::carry_out(effect::Requeue& e) {
  store_.requeue(e.session, std::move(e.items),
                 [this, batch = e.batch](Result<std::vector<core::RequeueAnswer>> answer) {
                   events_.push_back(event::Requeued{batch, std::move(answer)});
                 });
}

void DispatchLoop::carry_out(effect::Adopt& e) {
  store_.adopt(e.session, std::move(e.items), [this, batch = e.batch](Result<std::vector<core::AdoptAnswer>> answer) {
    events_.push_back(event::Adopted{batch, std::move(answer)});
  });
}

void DispatchLoop::carry_out(effect::Reassert& e) {
  store_.reassert(e.session, std::move(e.items),
                  [this, batch = e.batch](Result<std::vector<core::AdoptAnswer>> answer) {
                    events_.push_back(event::Adopted{batch, std::move(answer)});
                  });
}

void DispatchLoop::carry_out(effect::Started& e) { store_.started(std::move(e.items)); }

void DispatchLoop::carry_out(effect::Live& e) { store_.report_live(std::move(e.items)); }

void DispatchLoop::carry_out(effect::FetchBody& e) {
  store_.get_body(e.digest, [this, digest = e.digest](Result<core::Payload> answer) {
    events_.push_back(event::BodyFetched{digest, std::move(answer)});
  });
}

void DispatchLoop::carry_out(effect::Send& e) { link_.send(e.worker, std::move(e.message)); }
void DispatchLoop::carry_out(effect::Forget& e) { link_.forget(e.worker); }
void DispatchLoop::carry_out(effect::Note& e) { log(LogLevel::Info, e.text); }

}  // namespace treadle::runtime
