// What the ledger decides, as rows for a table to keep: the journal between the deciding half and the keeping half of a
// store. A table applies them in the order of their commits; what it answers comes back as one Report per commit.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "core/limits.h"
#include "core/model.h"
#include "store/store.h"

namespace treadle::store {

// Makes the failure object that clients decode, for failures that no executor reported. Called on the loop thread.
using FailureWriter =
    std::function<core::Payload(core::ErrorKind, TaskId, const std::string& worker, const std::string& text)>;

// A registered function without its body.
struct FunctionInfo {
  std::uint64_t no = 0;  // numbered from 1 by the store; tasks refer to it
  FunctionId id;
  std::string name;
  Digest digest;
  core::PayloadFacts facts;
  std::uint64_t body_bytes = 0;
  core::Options options;
  WallMs created;
};
using FunctionRef = std::shared_ptr<const FunctionInfo>;

// When what happened to the present attempt; 0 = not (yet).
struct AttemptTimes {
  WallMs claimed, started;
};

namespace change {

struct Insert {
  std::uint64_t seq = 0;  // order of age: grows with each submission, never used twice
  std::uint64_t function_no = 0;
  Submission task;
  WallMs accepted, not_before, expires;
};
// Only for at-most-once functions; other claims are not kept.
struct Claim {
  std::uint64_t seq = 0;
  std::uint32_t attempt = 0;
  Token token;
  std::string worker;
  WallMs claimed;
};
// User code runs. Survives the process; need not survive power loss.
struct Start {
  std::uint64_t seq = 0;
  std::uint32_t attempt = 0;
  Token token;
  std::string worker;
  AttemptTimes times;
};
struct Finish {
  std::uint64_t seq = 0;
  TaskId id;
  std::uint32_t attempt = 0;
  Token token;
  core::Outcome outcome;
  std::string worker;
  std::string last_error;  // "" = leave what is there
  std::uint32_t losses = 0, kills = 0;
  AttemptTimes times;
  WallMs finished;
  std::uint64_t args_bytes = 0;  // of the arguments, which go when the task completed
  WallMs keep_until;             // then it is to go; 0 = as old as the others
};
struct Requeue {
  std::uint64_t seq = 0;
  std::uint32_t attempt = 0, losses = 0, kills = 0, retries_used = 0;
  bool suspect = false;
  WallMs not_before;
  std::string last_error;  // "" = leave what is there
};
struct RequestCancel {
  std::uint64_t seq = 0;
  std::string reason;
};
struct PutFunction {
  FunctionRef info;
  core::Payload body;
};
struct DeleteFunction {
  FunctionId id;
  WallMs deleted;
};
struct PauseQueue {
  std::string queue;  // "" = default
  WallMs paused;      // since when; 0 = it is resumed
};

}  // namespace change

using Change = std::variant<change::Insert, change::Claim, change::Start, change::Finish, change::Requeue,
                            change::RequestCancel, change::PutFunction, change::DeleteFunction, change::PauseQueue>;
using Changes = std::vector<Change>;

// Rows that become durable together, in the order in which commits were handed over.
struct Commit {
  std::uint64_t ticket = 0;
  Changes changes;
};

// A submission whose idempotency key was there already: it was not inserted.
struct KeyClash {
  std::uint64_t seq = 0;  // of the submission
  TaskId first;           // the task that has the key
  bool same_body = false;
};

struct Report {
  std::uint64_t ticket = 0;
  std::optional<Error> error;  // nothing of the commit was kept (only commits of new things can fail)
  std::vector<KeyClash> clashes;
};

// A task that is not terminal, as a table gives it back at start.
struct LiveRow {
  std::uint64_t seq = 0;
  TaskId id;
  FunctionRef function;
  core::Options options;
  std::uint64_t args_bytes = 0;
  core::TaskState state = core::TaskState::Queued;
  Token token;
  std::string worker;
  AttemptTimes times;
  std::uint32_t attempt = 0, losses = 0, kills = 0, retries_used = 0;
  bool suspect = false;
  bool cancel_requested = false;
  std::string cancel_reason;
  WallMs not_before, expires;
};

// A terminal task, as a table gives it back.
struct EndedTask {
  TaskView view;
  Token token;        // that ended it; 0: no attempt did
  WallMs keep_until;  // from then on it is not there any more; 0 = until the table has removed it
};

// New things may be refused when there is no room for them; everything else must become durable in the end.
inline bool is_new(const Change& change) {
  return std::holds_alternative<change::Insert>(change) || std::holds_alternative<change::PutFunction>(change);
}
// The payload that a change carries, if it carries one.
inline const core::Payload* payload_of(const Change& change) {
  if (const auto* insert = std::get_if<change::Insert>(&change)) return &insert->task.args;
  if (const auto* finish = std::get_if<change::Finish>(&change)) return &finish->outcome.result;
  if (const auto* put = std::get_if<change::PutFunction>(&change)) return &put->body;
  return nullptr;
}
inline bool is_big(const Change& change) {
  const core::Payload* payload = payload_of(change);
  return payload && payload->bytes.size() > core::limits::kInline;
}

}  // namespace treadle::store
