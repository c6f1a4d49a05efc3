// A message on the wire as its frames, and the names that its first frame can bear (docs/protocol.md).
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "base/buffer.h"

namespace treadle::transport {

// One zmq multipart message without the routing envelope: type, header, pack, payloads.
using Frames = std::vector<Buffer>;

namespace type {
// From workers.
inline constexpr std::string_view kRegistration = "WORKER_REGISTRATION";
inline constexpr std::string_view kHeartbeat = "HEARTBEAT";
inline constexpr std::string_view kCompleted = "TASK_COMPLETED";
inline constexpr std::string_view kFailed = "TASK_FAILED";
inline constexpr std::string_view kTaskRequest = "WORKER_TASK_REQUEST";
inline constexpr std::string_view kFunctionRequest = "FUNCTION_REQUEST";
inline constexpr std::string_view kGoodbye = "GOODBYE";
// From dispatchers.
inline constexpr std::string_view kTask = "NEW_REDIS_TASK";
inline constexpr std::string_view kNoTask = "NO_TASK";
inline constexpr std::string_view kAck = "ACK";
inline constexpr std::string_view kRevoke = "REVOKE";
inline constexpr std::string_view kReregister = "REREGISTER";
inline constexpr std::string_view kPing = "PING";
inline constexpr std::string_view kFunction = "FUNCTION";
inline constexpr std::string_view kDrain = "DRAIN";
// From both.
inline constexpr std::string_view kBlobRequest = "BLOB_REQUEST";
inline constexpr std::string_view kBlob = "BLOB";
inline constexpr std::string_view kError = "ERROR";
}  // namespace type

// What decides who decodes it; empty for a message without frames.
inline std::string_view type_of(std::span<const Buffer> frames) {
  return frames.empty() ? std::string_view() : frames[0].view();
}

}  // namespace treadle::transport
