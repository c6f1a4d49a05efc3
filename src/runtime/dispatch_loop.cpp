#include "runtime/dispatch_loop.h"

#include <utility>

#include "runtime/log.h"

namespace treadle::runtime {

namespace event = core::event;
namespace effect = core::effect;

DispatchLoop::DispatchLoop(core::DispatcherConfig config, Rng rng, Instant now, store::Store& store,
                           transport::DispatcherLink& link)
    : store_(store), link_(link), core_(std::move(config), rng, now) {
  store_.on_work([this] { events_.push_back(event::WorkHint{}); });
  store_.on_revoke(
      [this](std::vector<core::Held> attempts) { events_.push_back(event::RevokeHint{std::move(attempts)}); });
}

bool DispatchLoop::turn(Instant now) {
  gather();
  if (events_.empty() && now < core_.next_deadline()) return false;
  for (auto& e : std::exchange(events_, {})) core_.step(now, std::move(e));
  core::DispatcherEffects effects;
  core_.tick(now, effects);
  for (auto& e : effects) std::visit([this](auto& one) { carry_out(one); }, e);
  return true;
}

void DispatchLoop::gather() {
  for (auto& message : link_.receive()) events_.push_back(event::WorkerSaid{std::move(message)});
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

void DispatchLoop::carry_out(effect::FetchBody& e) {
  store_.get_body(e.digest, [this, digest = e.digest](Result<core::Payload> answer) {
    events_.push_back(event::BodyFetched{digest, std::move(answer)});
  });
}

void DispatchLoop::carry_out(effect::Send& e) { link_.send(e.worker, std::move(e.message)); }
void DispatchLoop::carry_out(effect::Note& e) { log(LogLevel::Info, e.text); }

}  // namespace treadle::runtime
