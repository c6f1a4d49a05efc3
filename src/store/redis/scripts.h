// The Lua scripts that are every operation of the Redis engine: one name, one text, one SHA-1 each. What a script takes
// and answers stands at the head of its file in scripts/; what it may touch, in docs/storage.md.
#pragma once

#include <cstdint>
#include <string>

namespace treadle::store::redis {

enum class Script : std::uint8_t {
  Register,
  Submit,
  Claim,
  Started,
  Finish,
  Requeue,
  Cancel,
  OpenSession,
  Renew,
  Adopt,
  Reassert,
  Reap,
  Workers,
  ListTasks,
  ListFunctions,
  DeleteFunction,
  Sweep,
  Enter,
  Fill,
  GroupPage,
  Queues,
  Pause,
};

struct ScriptText {
  std::string source;
  std::string sha1;  // by which Redis knows it: 40 hex digits
};

const ScriptText& text_of(Script script);

}  // namespace treadle::store::redis
