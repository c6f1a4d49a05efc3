// What dispatcher and worker say to each other, as plain data. LOCAL hands these structs over; PUSH and PULL put them
// on the wire (transport/codec), where the seed's message names tell what a message is mainly about.
//
// Numbers (seq, ack): each side numbers its messages to the other from 1 per (worker boot, dispatcher session); `ack`
// is the highest number received and acted on. A number already seen is not acted on again. seq 0: a plain client that
// numbers nothing, is known by its name alone, and holds what it was sent from the moment of sending
// (docs/protocol.md).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "core/model.h"

namespace treadle::core {

// An attempt, named. Whoever knows the token holds the attempt.
struct Held {
  TaskId task;
  Token token;
  friend bool operator==(const Held&, const Held&) = default;
};

struct PythonVersion {
  std::uint8_t major = 3;
  std::uint8_t minor = 0;
  std::uint8_t micro = 0;
};

// WORKER_REGISTRATION: what a worker is.
struct WorkerInfo {
  std::string host;
  std::uint32_t pid = 0;
  std::uint32_t slots = 0;
  std::vector<PythonVersion> pythons;
  std::vector<std::string> queues;    // that it serves; empty = default
  std::vector<std::string> labels;    // words that tasks may ask for, sorted
  std::vector<std::string> features;  // that it understands beyond this version's
  bool in_process = false;            // LOCAL: dies with the dispatcher
};

struct OutcomeReport {  // TASK_COMPLETED, TASK_FAILED
  Held attempt;
  Outcome outcome;
};

struct GivenBack {  // an attempt that the worker will not run (any more)
  Held attempt;
  GiveBack why = GiveBack::Unstarted;
  std::string last_error;  // of a killed or suspect one: in words
  Outcome failure;         // what it ends in if it may not run again
};

// How far a running task is, as it says itself.
struct Progress {
  std::int32_t ppm = -1;  // parts per million; -1 = it gave no number
  std::string note;
  bool told() const { return ppm >= 0 || !note.empty(); }
  friend bool operator==(const Progress&, const Progress&) = default;
};

// What a running task shows of itself before it ends: how far it is, and its output while somebody follows it. None of
// it is durable, and any of it may be lost on its way.
struct LiveReport {
  Held attempt;
  bool has_progress = false;
  Progress progress;
  std::uint64_t from = 0;  // bytes of output before `text`
  std::string text;        // valid UTF-8; of a task that is followed
};

struct FunctionBody {
  Digest digest;
  Payload body;
  bool found = true;  // false: nobody has it (deleted); its tasks fail
};

struct WorkerMessage {
  WorkerId worker;
  std::uint64_t boot = 0;  // random, one per life of the worker program
  SessionId session;       // of the dispatcher that it believes to speak to; nil in a registration
  std::uint64_t seq = 0;
  std::uint64_t ack = 0;
  bool registers = false;  // `info` is filled, and `held` is complete
  WorkerInfo info;
  std::uint32_t free_slots = 0;  // credit after all that it received up to `ack`
  std::uint32_t prefetch = 0;    // attempts that may wait in it beyond the free slots
  bool names_held = false;       // `held` is complete: waiting, running, being killed, or finished and not acknowledged
  std::vector<Held> held;
  std::vector<Held> started;     // user code of these still runs after kStartReportDelay
  std::vector<LiveReport> live;  // may be lost; of an attempt that ends with this message, its last one
  std::vector<OutcomeReport> outcomes;
  std::vector<GivenBack> given_back;
  std::vector<Digest> wants;  // FUNCTION_REQUEST
  bool asks = false;          // of a plain client: WORKER_TASK_REQUEST; a numbered PULL message always asks
  Duration wait{0};           // PULL: how long the request may be parked; 0 = the dispatcher's own limit
  bool draining = false;      // takes no more attempts
  bool goodbye = false;       // holds nothing and leaves
};

struct Revoke {
  Held attempt;
  bool kill = false;  // also if it runs (cancel); else only if it has not begun
};

struct DispatcherMessage {
  SessionId session;
  std::uint64_t seq = 0;
  std::uint64_t ack = 0;
  std::vector<Attempt> attempts;        // NEW_REDIS_TASK
  std::vector<Held> settled;            // ACK: outcomes and attempts given back that are durable; forget them
  std::vector<Revoke> revokes;          // REVOKE
  std::vector<FunctionBody> functions;  // FUNCTION
  std::vector<Held> follows;            // somebody wants to see their output while they run, for limits::kFollowFor
  bool registered = false;              // ACK of a registration
  bool reregister = false;              // REREGISTER: say who you are and what you hold
  bool ping = false;                    // PING: answer with anything
  bool drain = false;                   // DRAIN: finish what runs, give back the rest
  Duration heartbeat{0};                // with `registered`: how often to speak
};

}  // namespace treadle::core
