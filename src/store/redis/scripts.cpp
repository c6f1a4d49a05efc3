#include "store/redis/scripts.h"

#include <array>
#include <cstddef>
#include <initializer_list>
#include <string_view>

#include <openssl/evp.h>

#include "base/assert.h"

#define TREADLE_LUA(name)                       \
  extern "C" {                                  \
  extern const char treadle_lua_##name[];       \
  extern const char treadle_lua_##name##_end[]; \
  }
TREADLE_LUA(prelude)
TREADLE_LUA(lines)
TREADLE_LUA(limits)
TREADLE_LUA(endings)
TREADLE_LUA(give_back)
TREADLE_LUA(hold)
TREADLE_LUA(register)
TREADLE_LUA(submit)
TREADLE_LUA(claim)
TREADLE_LUA(started)
TREADLE_LUA(finish)
TREADLE_LUA(requeue)
TREADLE_LUA(cancel)
TREADLE_LUA(open_session)
TREADLE_LUA(renew)
TREADLE_LUA(adopt)
TREADLE_LUA(reassert)
TREADLE_LUA(reap)
TREADLE_LUA(workers)
TREADLE_LUA(list_tasks)
TREADLE_LUA(list_functions)
TREADLE_LUA(delete_function)
TREADLE_LUA(sweep)
TREADLE_LUA(enter)
TREADLE_LUA(fill)
TREADLE_LUA(group_page)
TREADLE_LUA(queues)
TREADLE_LUA(pause)
#undef TREADLE_LUA

namespace treadle::store::redis {
namespace {

#define TEXT(name) \
  std::string_view(treadle_lua_##name, static_cast<std::size_t>(treadle_lua_##name##_end - treadle_lua_##name))

std::string sha1_of(std::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> bytes{};
  unsigned size = 0;
  TREADLE_ASSERT(EVP_Digest(text.data(), text.size(), bytes.data(), &size, EVP_sha1(), nullptr) == 1);
  constexpr char kHex[] = "0123456789abcdef";
  std::string hex;
  for (unsigned i = 0; i < size; ++i) {
    hex += kHex[bytes[i] >> 4];
    hex += kHex[bytes[i] & 15];
  }
  return hex;
}

// What takes new things in is refused when Redis is out of memory; what lets go of them is not.
enum class Oom : bool { Refused, Allowed };

ScriptText make(Oom oom, std::initializer_list<std::string_view> parts) {
  ScriptText text;
  text.source = oom == Oom::Allowed ? "#!lua flags=allow-oom\n" : "#!lua\n";
  for (const std::string_view part : parts) text.source += part;
  text.sha1 = sha1_of(text.source);
  return text;
}

ScriptText make(Script script) {
  const std::string_view prelude = TEXT(prelude), lines = TEXT(lines), limits = TEXT(limits), endings = TEXT(endings);
  switch (script) {
    case Script::Register: return make(Oom::Refused, {prelude, TEXT(register)});
    case Script::Submit: return make(Oom::Refused, {prelude, lines, TEXT(submit)});
    case Script::Claim: return make(Oom::Allowed, {prelude, lines, limits, endings, TEXT(claim)});
    case Script::Started: return make(Oom::Allowed, {prelude, TEXT(started)});
    case Script::Finish: return make(Oom::Allowed, {prelude, lines, limits, endings, TEXT(finish)});
    case Script::Requeue: return make(Oom::Allowed, {prelude, lines, limits, endings, TEXT(give_back), TEXT(requeue)});
    case Script::Cancel: return make(Oom::Allowed, {prelude, lines, limits, endings, TEXT(cancel)});
    case Script::OpenSession: return make(Oom::Allowed, {prelude, TEXT(open_session)});
    case Script::Renew: return make(Oom::Allowed, {prelude, TEXT(renew)});
    case Script::Adopt: return make(Oom::Allowed, {prelude, TEXT(hold), TEXT(adopt)});
    case Script::Reassert: return make(Oom::Allowed, {prelude, lines, limits, TEXT(hold), TEXT(reassert)});
    case Script::Reap: return make(Oom::Allowed, {prelude, lines, limits, endings, TEXT(give_back), TEXT(reap)});
    case Script::Workers: return make(Oom::Allowed, {prelude, TEXT(workers)});
    case Script::ListTasks: return make(Oom::Allowed, {prelude, TEXT(list_tasks)});
    case Script::ListFunctions: return make(Oom::Allowed, {prelude, TEXT(list_functions)});
    case Script::DeleteFunction: return make(Oom::Allowed, {prelude, TEXT(delete_function)});
    case Script::Sweep: return make(Oom::Allowed, {prelude, lines, limits, endings, TEXT(sweep)});
    case Script::Enter: return make(Oom::Allowed, {prelude, lines, TEXT(enter)});
    case Script::Fill: return make(Oom::Allowed, {prelude, TEXT(fill)});
    case Script::GroupPage: return make(Oom::Allowed, {prelude, TEXT(group_page)});
    case Script::Queues: return make(Oom::Allowed, {prelude, lines, TEXT(queues)});
    case Script::Pause: return make(Oom::Allowed, {prelude, lines, TEXT(pause)});
  }
  assert_failed("make", __FILE__, __LINE__, "a script without a text");
}

}  // namespace

const ScriptText& text_of(Script script) {
  static const auto all = [] {
    std::array<ScriptText, static_cast<std::size_t>(Script::Pause) + 1> texts;
    for (std::size_t i = 0; i < texts.size(); ++i) texts[i] = make(static_cast<Script>(i));
    return texts;
  }();
  return all[static_cast<std::size_t>(script)];
}

}  // namespace treadle::store::redis
