// Every bound of the system with its name and its reason. Flags override some of them; nothing else invents a number.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/time.h"

namespace treadle::core::limits {

// Payloads.
inline constexpr std::uint64_t kMaxPayload = 128ull << 20;  // decoded bytes of one payload (--max-payload)
inline constexpr std::uint64_t kInline = 256ull << 10;  // above it a payload lives in a file, not in a row or a message
inline constexpr std::uint64_t kMaxResult = kMaxPayload;

// Queue.
inline constexpr std::uint64_t kMaxQueued = 5'000'000;         // waiting tasks, then 429
inline constexpr std::uint64_t kMaxQueuedBytes = 16ull << 30;  // of their arguments
inline constexpr std::size_t kMaxWaiters = 60'000;             // tasks that held requests wait for, then 429
inline constexpr Duration kMaxWait = 60s;                      // longest ?wait=
inline constexpr std::size_t kBatch = 128;                     // items of one store operation
inline constexpr std::int16_t kMaxPriority = 1000;

// Options that clients may ask for.
inline constexpr std::int64_t kMaxAttemptsAsked = 1'000;
inline constexpr std::int64_t kMaxRetriesAsked = 1'000;
inline constexpr double kMaxRetryDelayS = 24.0 * 3600;
inline constexpr double kMaxTimeLimitS = 30.0 * 24 * 3600;
inline constexpr double kMaxDelayS = 365.0 * 24 * 3600;
inline constexpr double kMaxQueueTtlS = 365.0 * 24 * 3600;
inline constexpr double kMaxExpiresInS = 365.0 * 24 * 3600;
inline constexpr std::int64_t kMinMemoryLimit = 1ll << 20;
inline constexpr std::int64_t kMaxMemoryLimit = 1ll << 50;
inline constexpr double kMaxCpuLimitS = kMaxTimeLimitS;
inline constexpr std::int64_t kMinFileLimit = 16;  // an executor needs some itself
inline constexpr std::int64_t kMaxFileLimit = 1 << 20;
inline constexpr std::int64_t kMaxProcessLimit = 1 << 20;
inline constexpr std::int64_t kMaxOutputLimit = 1ll << 40;
inline constexpr std::size_t kMaxSurroundings = 16u << 10;  // "env" and "secrets" of a function or a call, as JSON
inline constexpr std::size_t kMaxVariableName = 128;
inline constexpr std::size_t kMaxQueueName = 64;
inline constexpr std::size_t kMaxRetryTypes = 32;  // names in retry_on
inline constexpr std::size_t kMaxTypeName = 128;
inline constexpr double kMaxRetryBackoff = 10;
inline constexpr double kMaxRetentionS = 10.0 * 365 * 24 * 3600;
inline constexpr std::size_t kMaxLabels = 16;  // of a task, and of a worker beside those that it has by itself
inline constexpr std::size_t kMaxLabel = 64;
inline constexpr std::size_t kMaxConcurrencyKey = 128;
inline constexpr std::int64_t kMaxConcurrent = 1'000;
inline constexpr std::size_t kMaxGroupName = 128;
inline constexpr std::size_t kMaxFunctionName = 1024;
inline constexpr std::size_t kMaxIdempotencyKey = 255;

// Attempts.
inline constexpr std::uint16_t kMaxAttempts = 3;    // losses with a worker before WorkerLost
inline constexpr std::uint16_t kMaxKills = 2;       // executors killed by one task before PoisonTask
inline constexpr Duration kKillGrace = 2s;          // SIGTERM to SIGKILL
inline constexpr Duration kStartReportDelay = 5ms;  // a task still running then is reported RUNNING

// Executors.
inline constexpr std::size_t kMaxPrefetchPerSlot = 64;
inline constexpr Duration kPrefetchWork = 20ms;        // of estimated work that may wait in a worker for each slot
inline constexpr Duration kPipeWork = 1ms;             // of estimated work that may wait inside one executor
inline constexpr Duration kStandbyBehind = 20ms;       // longest estimate of a task behind which one more may stand by
inline constexpr Duration kWaitForSlot = 50ms;         // what waited so long without a slot goes back to the dispatcher
inline constexpr Duration kLongTask = 100ms;           // no prefetch for a worker whose tasks take so long
inline constexpr std::size_t kOutputKept = 64u << 10;  // last bytes of a task's stdout and stderr
inline constexpr std::size_t kMaxRequirements = 64;    // of a function
inline constexpr std::size_t kMaxRequirement = 256;    // bytes of one
inline constexpr std::size_t kAwaitEnvironment = 1000;   // attempts that wait for environments beside a worker's credit
inline constexpr std::size_t kEnvironmentsKnown = 1000;  // a worker remembers of so many whether they are there
inline constexpr Duration kEnvironmentBuild = 15min;     // then a build is ended, and has failed
inline constexpr std::uint64_t kEnvironmentCache = 10ull << 30;  // bytes of a worker's environments (--env-cache-size)
inline constexpr std::size_t kEnvironmentZygotes = 8;            // warm processes beside those of --python
inline constexpr std::size_t kProgressNote = 1024;               // bytes of what a task says of its progress
inline constexpr Duration kLiveEach = 200ms;                     // between two messages about what running tasks show
inline constexpr Duration kFollowFor = 6s;           // a task is followed so long after it was asked for last
inline constexpr Duration kFollowAgain = 2s;         // who follows asks again
inline constexpr std::size_t kMaxFollowed = 64;      // tasks of one worker whose output is followed; no more are
inline constexpr std::size_t kLiveText = 64u << 10;  // newest output of one task, in one message and where it is kept
inline constexpr std::size_t kLiveMessage = 512u << 10;   // of all tasks in one message
inline constexpr std::uint64_t kLiveKept = 16ull << 20;   // of all tasks in one store's process
inline constexpr std::size_t kOutcomeBufferItems = 1024;  // unacknowledged outcomes, then no more credit
inline constexpr std::uint64_t kOutcomeBufferBytes = 64ull << 20;
inline constexpr std::uint64_t kExecutorTasks = 100'000;  // then it is replaced (--executor-tasks)
inline constexpr Duration kExecutorAge = 24h;             // then it is replaced (--executor-age)
inline constexpr Duration kMeasureEach = 200ms;           // of the memory, and what else is watched
inline constexpr Duration kExecutorStart = 30s;           // from spawn to READY, then it is killed
inline constexpr int kExecutorStartFailures = 5;          // in a row, then the worker says so and slows down
inline constexpr std::size_t kErrorText = 16u << 10;      // of an error message or traceback that is kept

// Liveness (dispatch.md 14 in docs/decisions).
inline constexpr Duration kHeartbeatInterval = 1s;
inline constexpr Duration kDisconnectGrace = 1s;
inline constexpr Duration kWorkerLease = 10s;
inline constexpr Duration kStartFreshness = 5s;
inline constexpr Duration kSessionRenew = 2s;
inline constexpr Duration kSessionTtl = 10s;
inline constexpr Duration kAdoptionWindow = 5s;
inline constexpr Duration kHintPoll = 200ms;
inline constexpr std::size_t kMaxWorkers = 200'000;  // in one dispatcher's registry; further ones are not registered
inline constexpr std::size_t kLostWorkersShown = 100;
inline constexpr Duration kDrain = 25s;  // how long a stop waits for running tasks

// Retention of finished tasks.
inline constexpr std::int64_t kKeepCompletedMs = 7ll * 24 * 3600 * 1000;
inline constexpr std::int64_t kKeepFailedMs = 30ll * 24 * 3600 * 1000;
// A time to wait that ends within it is watched to the millisecond, also inside a worker; a longer one once a minute.
inline constexpr Duration kWatchedWait = 48h;
inline constexpr std::int64_t kQueueTtlMs = 30ll * 24 * 3600 * 1000;  // waiting longer: Expired
inline constexpr std::uint64_t kKeepBytes = 10ull << 30;

// HTTP.
inline constexpr std::size_t kMaxHeader = 16u << 10;
inline constexpr std::size_t kMaxJsonDepth = 32;
inline constexpr std::size_t kMaxConnections = 10'000;
inline constexpr Duration kHeaderDeadline = 10s;
inline constexpr std::uint64_t kMaxFields = 1ull << 20;        // of the JSON beside a payload, on /v1
inline constexpr std::uint64_t kMaxBatchBody = 16ull << 20;    // of POST /v1/tasks:batch
inline constexpr std::uint64_t kMaxBatchFields = 64ull << 20;  // of its values in memory
inline constexpr std::size_t kMaxBatchTasks = 10'000;
inline constexpr std::size_t kMaxBatchFunctions = 256;        // different ones that a batch may name
inline constexpr std::size_t kMaxLookupTasks = 10'000;        // of one tasks:lookup or tasks:wait
inline constexpr std::size_t kMaxWatched = 50'000;            // tasks that all tasks:wait held here name
inline constexpr std::uint64_t kMaxWaitResults = 8ull << 20;  // of one answer; what is over kInline is left out
inline constexpr std::size_t kMaxStreams = 256;               // of groups' results that are open, then 429
inline constexpr std::uint32_t kStreamRows = 500;             // ends that one of them has in memory
inline constexpr std::uint64_t kStreamBytes = 256u << 10;     // of their results; those over kInline are left out
inline constexpr Duration kStreamPing = 15s;                  // a silent one sends an empty line, to find who is gone
inline constexpr std::size_t kMaxSelected = 10'000;           // tasks that one tasks:cancel or tasks:retry acts on
inline constexpr std::uint32_t kMaxSelectedPages = 1'000;     // of a list, that one of them looks through
inline constexpr std::uint32_t kMaxPage = 1'000;              // rows of one page of a list
inline constexpr std::size_t kMaxFollows = 1'000;             // requests that follow a task's output, then 429
inline constexpr Duration kBodyIdle = 30s;                    // without a byte of a body that is due
inline constexpr Duration kKeepAlive = 75s;                   // between requests
inline constexpr std::uint64_t kMaxBodiesInFlight = 1ull << 30;  // bytes of all bodies being received, then 503

// Wire between dispatcher and workers (docs/protocol.md).
inline constexpr std::size_t kMaxFrame = 4u << 20;          // bytes of one frame (ZMQ_MAXMSGSIZE); so of the header too
inline constexpr std::size_t kMaxFrames = 1024;             // of one message
inline constexpr std::uint64_t kMaxInlineBatch = 1u << 20;  // payload bytes inside one message; the rest is pulled
inline constexpr std::size_t kPacked = 32u << 10;  // payloads up to it share one frame: copying costs less than a frame
inline constexpr std::size_t kMaxWorkerName = 255;          // bytes of a plain client's name
inline constexpr Duration kMaxPark = 3s;                    // a PULL request is answered by then
inline constexpr Duration kPlainPark = 100ms;               // the same for a plain client, which can do nothing else
inline constexpr std::size_t kMaxErrorSentence = 4u << 10;  // bytes of an ERROR

inline constexpr std::size_t kBlobPart = 256u << 10;  // bytes of a blob that one BLOB carries
inline constexpr std::size_t kBlobWindow = 4;         // BLOB_REQUESTs under way to one peer; over REQ one
inline constexpr Duration kBlobPatience = 2s;         // without any part that is due, then all are asked for again
inline constexpr int kBlobRounds = 5;                 // such rounds, then the message that waits is dropped
inline constexpr std::size_t kMaxHeldBack = 1024;     // messages of one peer that wait behind one with missing blobs
inline constexpr std::size_t kMaxStock = 4096;        // blobs that one peer may still ask for
inline constexpr std::uint64_t kMaxPulled = kBatch * kMaxPayload;  // bytes that one message may refer to

}  // namespace treadle::core::limits
