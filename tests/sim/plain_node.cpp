#include "plain_node.h"

#include <algorithm>

namespace treadle::sim {

using namespace core;

namespace {

constexpr Duration kReconnect = 50ms;

}  // namespace

PlainNode::PlainNode(World& world, RunLog& log, WorkerId id, Habits habits, Send send)
    : world_(world), log_(log), id_(id), habits_(habits), send_(std::move(send)) {
  start();
}

void PlainNode::after(Duration delay, void (PlainNode::*what)()) {
  world_.after(delay, [this, life = life_, what] {
    if (alive_ && life == life_) (this->*what)();
  });
}

void PlainNode::start() {
  alive_ = true;
  ++life_;
  ++connection_;
  job_.reset();
  connect();
}

void PlainNode::kill() {
  if (!alive_) return;
  ++deaths;
  held_at_death += job_ ? 1 : 0;
  alive_ = false;
  ++life_;
  if (on_death) on_death();
}

// What it runs goes on, and is reported to whoever answers next.
void PlainNode::dispatcher_began() {
  ++connection_;
  const bool runs = job_ && !done_;
  if (alive_ && !runs) connect_later();
}

void PlainNode::say(WorkerMessage message) {
  message.worker = id_;
  send_(std::move(message));
}

// Over this connection; if it breaks before that, the next one begins with it anyway.
void PlainNode::connect_later() {
  world_.after(kReconnect, [this, connection = connection_] {
    if (alive_ && connection == connection_) connect();
  });
}

void PlainNode::connect() {
  WorkerMessage message;
  message.registers = true;
  message.info.host = "plain";
  message.info.slots = 1;
  say(std::move(message));
}

void PlainNode::ask() {
  WorkerMessage message;
  message.asks = true;
  say(std::move(message));
}

void PlainNode::report() {
  done_ = true;
  const Plan plan = plan_of(job_->task, habits_);
  ++log_.tasks[job_->task].ends;
  OutcomeReport report{*job_, {}};
  report.outcome.result.bytes = Buffer::of(result_of(job_->task));
  if (plan.behaviour == Behaviour::Raise) {
    report.outcome.kind = ErrorKind::FunctionFailed;
    report.outcome.error_type = "ValueError";
  }
  WorkerMessage message;
  message.outcomes.push_back(std::move(report));
  say(std::move(message));
}

void PlainNode::run(const Attempt& attempt) {
  job_ = Held{attempt.task, attempt.token};
  done_ = false;
  ++starts;
  log_.start(attempt.task, RunLog::By::PlainClient);
  ++log_.starts_of_token[attempt.token];
  const Plan plan = plan_of(attempt.task, habits_);
  if (plan.behaviour == Behaviour::Hang) return;
  after(plan.takes + 20us, plan.behaviour == Behaviour::KillExecutor ? &PlainNode::kill : &PlainNode::report);
}

// Whatever it said before is answered by this: a task, an ACK, or word to register again.
void PlainNode::deliver(DispatcherMessage message) {
  if (!alive_) return;
  if (message.reregister) return connect_later();
  if (job_ && done_) {
    if (std::ranges::find(message.settled, *job_) != message.settled.end()) job_.reset();
    if (job_) return report();  // it registered anew with an outcome in hand
  }
  if (!message.attempts.empty()) return run(message.attempts.front());
  if (!job_) ask();
}

}  // namespace treadle::sim
