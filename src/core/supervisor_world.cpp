#include "core/supervisor_world.h"

namespace treadle::core::testing_world {
namespace {

constexpr Duration kGrace = 20ms;
constexpr std::size_t kAsyncSlots = 5;
constexpr int kSegv = 11, kKill = 9, kTerm = 15;

SupervisorConfig config_of(std::uint32_t slots) {
  SupervisorConfig config;
  config.worker = WorkerId{Uuid{7, 7}};
  config.boot = 1;
  config.info.slots = slots;
  config.heartbeat = 200ms;
  config.kill_grace = kGrace;
  config.executor_tasks = 50;
  config.executor_start = 30ms;
  config.async_slots = kAsyncSlots;
  return config;
}

std::string text(Token token) { return "attempt " + std::to_string(token.value); }

}  // namespace

World::World(std::uint64_t seed, int tasks, Tally& tally)
    : rng_(seed),
      tally_(tally),
      slots_(1 + static_cast<std::uint32_t>(rng_.below(4))),
      supervisor_(config_of(slots_), Rng(seed + 1)) {
  constexpr Duration kTakes[] = {1us, 1us, 5us, 50us, 300us, 1ms, 8ms, 80ms};
  for (int i = 1; i <= tasks; ++i) {
    const auto token = static_cast<std::uint64_t>(i);
    Task& task = tasks_[token];
    Attempt& a = task.attempt;
    a.task = TaskId{Uuid{1, token}};
    a.token = Token{token};
    a.body_digest.words[0] = 1 + rng_.below(4);
    // Mostly each function takes about as long each time, now and then another time altogether.
    task.takes = rng_.chance(0.9) ? kTakes[a.body_digest.words[0] * 2 - 1] : kTakes[rng_.below(8)];
    task.crashes = rng_.chance(0.03);
    task.minds_sigterm = rng_.chance(0.5);
    if (rng_.chance(0.02)) task.takes = 3600s;
    if (task.takes > 1s || rng_.chance(0.1)) a.time_limit = between(5ms, 40ms);
    if (rng_.chance(0.1)) a.delivery = Delivery::AtMostOnce;
    if (rng_.chance(0.05)) a.isolation = Isolation::Fresh;
    a.suspect = rng_.chance(0.03);
    to_give_.push_back(token);
  }
  tally_.tasks += tasks_.size();
}

void World::broken(std::string what) {
  if (broken_.empty()) broken_ = std::move(what) + " at " + std::to_string(now_.ns);
}

std::string World::run() {
  turn();
  after(1ms, [this] { meddle(); });
  int rounds = 0, spins = 0;
  const Instant limit = now_ + 600s;
  auto done = [this] {
    return to_give_.empty() &&
           std::all_of(tasks_.begin(), tasks_.end(), [](const auto& t) { return t.second.settled; });
  };
  while (broken_.empty() && !(done() && supervisor_.view().held == 0)) {
    if (++rounds > 200'000 || now_ > limit) {
      const SupervisorView v = supervisor_.view();
      return "no end in sight: held=" + std::to_string(v.held) + " waiting=" + std::to_string(v.waiting) +
             " used=" + std::to_string(v.slots_used) + " unsettled=" + std::to_string(v.unsettled) +
             " credit=" + std::to_string(credit_);
    }
    const Instant due = supervisor_.next_deadline();
    const Instant timer = timers_.empty() ? Instant::never() : timers_.top().at;
    spins = std::min(due, timer) <= now_ ? spins + 1 : 0;
    if (spins > 500) broken("it asks for turns without end");
    now_ = std::max(now_, std::min(due, timer));
    if (timer <= now_) {
      auto act = timers_.top().act;
      timers_.pop();
      act();
    }
    turn();
  }
  if (!broken_.empty()) return broken_;
  const SupervisorCounters& c = supervisor_.counters();
  tally_.recalled += c.recalled;
  tally_.timeouts += c.timeouts;
  tally_.cancelled += c.cancelled;
  tally_.suspects += c.suspects;
  tally_.blamed += c.blamed;
  return supervisor_.view().slots_used == 0 ? "" : "a slot is taken though nothing is held";
}

void World::turn() {
  SupervisorEffects effects;
  do {
    for (auto& event : std::exchange(heard_, {})) supervisor_.step(now_, std::move(event), effects);
    supervisor_.tick(now_, effects);
    carry_out(effects);
  } while (!heard_.empty());
  supervisor_.flush(now_, effects);
  carry_out(effects);
  if (effects.message) {
    if (lossy_ && rng_.chance(0.03)) {
      ++tally_.lost;
    } else {
      after(between(1us, 50us), [this, message = std::move(*effects.message)] { take(message); });
    }
  }
  check_slots();
}

void World::carry_out(SupervisorEffects& effects) {
  for (const auto& command : std::exchange(effects.commands, {}))
    std::visit([this](const auto& c) { obey(c); }, command);
}

void World::check_slots() {
  std::size_t running = 0;
  for (const auto& [no, process] : processes_) running += process.running != 0 || !process.beside.empty() ? 1 : 0;
  if (running > slots_) broken("slots oversold: " + std::to_string(running) + " tasks run");
}

// ---- executors ----

World::Process* World::find(ExecutorNo no) {
  const auto it = processes_.find(static_cast<std::uint32_t>(no));
  return it == processes_.end() || it->second.dead ? nullptr : &it->second;
}

void World::hear(std::uint32_t no, ExecutorEvent event) {
  Process& process = processes_.at(no);
  process.heard_at = std::max(process.heard_at, now_ + between(0us, 30us) + Duration{1});
  after(process.heard_at - now_, [this, no, event = std::move(event)]() mutable {
    if (std::holds_alternative<event::ExecutorIdle>(event)) processes_.at(no).owes_idle = false;
    heard_.push_back(std::move(event));
  });
}

void World::obey(const command::Spawn& c) {
  const auto no = static_cast<std::uint32_t>(c.no);
  if (processes_.contains(no)) broken("an executor number was used twice");
  processes_[no].key = c.key;
  const double luck = static_cast<double>(rng_.below(1000)) / 1000;
  if (luck < 0.03) {
    ++tally_.start_failures;
    processes_[no].dead = true;
    hear(no, event::SpawnFailed{c.no, "bad luck"});
  } else if (luck < 0.05) {
    ++tally_.start_failures;
    after(between(100us, 3ms), [this, no] { die(no, kKill); });
  } else if (luck > 0.01) {
    after(between(500us, luck > 0.97 ? Duration{60ms} : Duration{3ms}), [this, no] {
      Process* process = find(ExecutorNo{no});
      if (!process) return;
      process->ready = true;
      hear(no, event::ExecutorReady{ExecutorNo{no}, no, 3, 11});
      next(no);
    });
  }
}

void World::obey(const command::SendFunction& c) {
  if (c.body.bytes.empty()) broken("a body that is not there was sent");
}

void World::obey(const command::SendTask& c) {
  Process* process = find(c.no);
  if (!process) return;
  if (process->owes_idle) broken("a task was sent between a recall and IDLE");
  if (c.seq != ++process->last_seq) broken("a gap in the numbers of an executor");
  const Task& task = tasks_.at(c.task.lo);
  if (process->key.isolation != task.attempt.isolation) broken("a task went to an executor of another key");
  if (task.attempt.suspect && process->runs > 0) broken("a suspect is not the first to run in its executor");
  if (c.concurrent && !task.is_async()) broken("a task was sent as concurrent, and its function is not async");
  if (!c.concurrent && !process->beside.empty()) broken("a task was sent behind those that run side by side");
  if (task.attempt.delivery == Delivery::AtMostOnce && !process->frames.empty() && !c.concurrent)
    broken("an at-most-once task waits behind another");
  ++process->tokens;
  process->frames.push_back({c.seq, c.task.lo, c.concurrent});
  if (process->ready && process->running == 0) {
    const std::uint64_t epoch = ++process->epoch;
    const auto no = static_cast<std::uint32_t>(c.no);
    after(between(1us, 20us), [this, no, epoch] {
      if (Process* p = find(ExecutorNo{no}); p && p->epoch == epoch) next(no);
    });
  }
}

void World::obey(const command::Recall& c) {
  Process* process = find(c.no);
  if (!process) return;  // silently ignored
  const auto taken = static_cast<std::uint32_t>(std::min<std::uint64_t>(c.count, process->tokens));
  process->tokens -= taken;
  if (taken > 0) process->owes_idle = true;
  heard_.push_back(ExecutorEvent{event::Recalled{c.no, taken}});
}

// The child: takes a token before each task, and drops all that it has read if there is none.
void World::next(std::uint32_t no) {
  Process* process = find(ExecutorNo{no});
  if (!process || !process->ready || process->running != 0) return;
  if (process->frames.empty()) {
    if (process->exiting && process->beside.empty()) die(no, 0);
    return;
  }
  const Frame frame = process->frames.front();
  if (tasks_.at(frame.token).is_async()) return begin_beside(no, *process);
  if (!process->beside.empty() || drops_what_was_recalled(no, *process)) return;
  process->running_seq = frame.seq;
  process->running = frame.token;
  process->frames.pop_front();
  process->began = now_;
  const Task& task = begin(*process, frame.token);
  const std::uint64_t epoch = ++process->epoch;
  after(task.takes, [this, no, epoch, crashes = task.crashes] {
    Process* p = find(ExecutorNo{no});
    if (!p || p->epoch != epoch) return;
    if (crashes) {
      ++tally_.crashes;
      die(no, kSegv);
    } else {
      finish(no, false);
    }
  });
}

bool World::drops_what_was_recalled(std::uint32_t no, Process& process) {
  if (process.tokens > 0) {
    --process.tokens;
    return false;
  }
  hear(no, event::ExecutorIdle{ExecutorNo{no}, process.frames.back().seq});
  process.frames.clear();
  if (process.exiting && process.beside.empty()) die(no, 0);
  return true;
}

World::Task& World::begin(Process& process, std::uint64_t token) {
  ++process.runs;
  Task& task = tasks_.at(token);
  ++tally_.runs;
  if (++task.starts > 1) broken(text(task.attempt.token) + " was begun twice");
  if (!task.end.empty()) broken(text(task.attempt.token) + " began after its end");
  check_slots();
  if (task.takes > 1s) ++tally_.hangs;
  return task;
}

// On the event loop: each has an end of its own.
void World::begin_beside(std::uint32_t no, Process& process) {
  const Frame frame = process.frames.front();
  if (!process.beside.empty() && !frame.concurrent) return;  // it waits until they have ended
  if (drops_what_was_recalled(no, process)) return;
  process.frames.pop_front();
  process.beside[frame.seq] = {frame.token, now_};
  const Task& task = begin(process, frame.token);
  if (!frame.concurrent) hear(no, event::TaskStarted{ExecutorNo{no}, frame.seq});
  if (process.beside.size() > 1) ++tally_.beside;
  if (process.beside.size() > kAsyncSlots) broken("more tasks run side by side than may");
  if (task.attempt.suspect && process.beside.size() > 1) broken("a suspect is not alone");
  after(task.takes, [this, no, seq = frame.seq, crashes = task.crashes] {
    Process* p = find(ExecutorNo{no});
    if (!p || !p->beside.contains(seq)) return;
    if (crashes) {
      ++tally_.crashes;
      die(no, kSegv);
    } else {
      finish_beside(no, seq, false);
    }
  });
  next(no);
}

void World::finish_beside(std::uint32_t no, std::uint64_t seq, bool cut) {
  const auto node = processes_.at(no).beside.extract(seq);
  answer(no, seq, node.mapped().token, node.mapped().began, cut);
  next(no);
}

void World::finish(std::uint32_t no, bool cut) {
  Process& process = processes_.at(no);
  const std::uint64_t token = std::exchange(process.running, 0);
  ++process.epoch;
  answer(no, process.running_seq, token, process.began, cut);
  next(no);
}

void World::answer(std::uint32_t no, std::uint64_t seq, std::uint64_t token, Instant began, bool cut) {
  Task& task = tasks_.at(token);
  const Duration limit = task.attempt.time_limit;
  if (limit > Duration{0} && now_ - began > limit + 2 * kGrace + 10ms)
    broken(text(task.attempt.token) + " ran far beyond its limit");
  task.returned = !cut;
  event::TaskDone done;
  done.no = ExecutorNo{no};
  done.seq = seq;
  done.outcome.kind = cut ? ErrorKind::FunctionFailed : ErrorKind::None;
  done.outcome.measures.started_ns = began.ns;
  done.outcome.measures.finished_ns = now_.ns;
  done.recycle = rng_.chance(0.01);
  hear(no, std::move(done));
}

void World::obey(const command::CancelTask& c) {
  after(between(1us, 30us), [this, c] {
    Process* process = find(c.no);
    const auto it = process ? process->beside.find(c.seq) : decltype(process->beside.begin()){};
    if (!process || it == process->beside.end() || !tasks_.at(it->second.token).minds_sigterm) return;
    ++tally_.cut_by_cancel;
    finish_beside(static_cast<std::uint32_t>(c.no), c.seq, true);
  });
}

void World::obey(const command::Signal& c) {
  Process* process = find(c.no);
  if (!process || c.signal != kTerm) return;
  if (process->beside.size() == 1) return obey(command::CancelTask{c.no, process->beside.begin()->first});
  if (process->running == 0 || !tasks_.at(process->running).minds_sigterm) return;
  ++tally_.cut_by_sigterm;
  finish(static_cast<std::uint32_t>(c.no), true);
}

void World::obey(const command::Kill& c) {
  after(between(100us, 2ms), [this, no = static_cast<std::uint32_t>(c.no)] { die(no, kKill); });
}

void World::obey(const command::Exit& c) {
  if (Process* process = find(c.no)) process->exiting = true;
  after(between(10us, 1ms), [this, no = static_cast<std::uint32_t>(c.no)] { next(no); });
}

void World::die(std::uint32_t no, int status) {
  Process* process = find(ExecutorNo{no});
  if (!process) return;
  process->dead = true;
  process->running = 0;
  for (const auto& [seq, one] : process->beside) {
    if (status == kKill) tasks_.at(one.token).victim = true;
  }
  ++process->epoch;
  event::ExecutorDied died;
  died.no = ExecutorNo{no};
  died.was_ready = process->ready;
  died.exited = true;
  died.wait_status = status;
  died.unbegun = process->tokens;
  process->beside.clear();
  hear(no, std::move(died));
}

}  // namespace treadle::core::testing_world
