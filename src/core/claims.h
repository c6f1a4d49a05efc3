// What a dispatcher asks of a store, and what it is answered, as plain data: the store port and the core share these
// words.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/message.h"
#include "core/model.h"

namespace treadle::core {

struct ClaimRequest {
  SessionId session;
  std::uint64_t call = 0;           // grows from call to call: the same number again gives the same attempts again
  std::vector<Token> tokens;        // made by the dispatcher; at most this many attempts are given
  std::vector<std::string> queues;  // names, in order of preference; empty = the default queue
  std::string worker;               // for the record, when the claimer already knows (LOCAL); may be empty
  std::vector<std::string> labels;  // of the workers that ask, sorted: tasks that want others are left
};

struct ClaimAnswer {
  std::vector<Attempt> attempts;
  bool no_session = false;  // the session is missing or was reaped: nothing was claimed
  bool more = false;        // the queue is not empty
};

// User code runs; the store notes the time itself.
struct StartedItem {
  TaskId task;
  Token token;
  WorkerId worker;
};

// What an attempt shows while it runs. Best effort.
struct LiveItem {
  std::uint32_t number = 0;  // of the attempt
  LiveReport report;
};

struct FinishItem {
  TaskId task;
  Token token;
  Outcome outcome;
  WorkerId worker;  // that ran it; nil = as it was reported started
};

struct RequeueItem {
  TaskId task;
  Token token;
  GiveBack why = GiveBack::Unstarted;
  Duration delay{0};
  std::string last_error;  // e.g. "WorkerLost worker=... attempt=1"
  Outcome failure;         // what the task ends in if it may not run again (kind and texts; result may be empty)
};

enum class RequeueAnswer : std::uint8_t {
  Queued,     // runs again
  Failed,     // may not run again: it is terminal now
  Cancelled,  // somebody had asked for it: FAILED Cancelled
  Stale,      // another token, another session or terminal
  Missing,
};

enum class AdoptAnswer : std::uint8_t { Adopted, Refused };

struct ReassertItem {
  TaskId task;
  Token token;
  std::uint32_t number = 0;
};

// What a dispatcher reads of the others when it renews.
struct SessionBeat {
  SessionId session;
  std::uint64_t beat = 0;
};

struct RenewAnswer {
  bool live = false;     // false: reaped or missing
  bool missing = false;  // FLUSHALL, failover: re-assert what is held
  std::vector<SessionBeat> others;
  std::vector<Held> revokes;  // attempts of ours that somebody wants cancelled; repeated until acknowledged
};

}  // namespace treadle::core
