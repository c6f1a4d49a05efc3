// The words of Redis: fields of hashes and arguments of scripts, to and from the types of the domain. Base64 exists
// only here.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/limits.h"
#include "store/redis/reply.h"
#include "store/store.h"

namespace treadle::store::redis {

using Args = std::vector<std::string>;

// Longer than this, a payload never passes through a script. The base64 text of the largest that does is INLINE in
// claim.lua.
inline bool is_big(const core::Payload& payload) { return payload.bytes.size() > core::limits::kInline; }

std::string text_of(Token token);  // 16 hex digits
Token token_of(std::string_view text);
std::uint64_t number_of(std::string_view text);  // 0 for anything that is no number
std::uint64_t number_of(const Reply& reply);     // of an Integer, or of digits
std::optional<Digest> digest_of(std::string_view hex);
Digest sha256(std::string_view bytes);

// Pairs of fields and values, for HSET.
void add_field(Args& out, std::string_view name, std::string value);
void add_number(Args& out, std::string_view name, std::uint64_t value);  // nothing for 0
void add_options(Args& out, const core::Options& options);               // without queue and priority
// `with_text`: false when the bytes are in a key of their own.
void add_result(Args& out, const core::Payload& result, bool with_text);
void add_error(Args& out, const core::Outcome& outcome);    // type and message
void add_details(Args& out, const core::Outcome& outcome);  // traceback, output, measures

// A payload as somebody wrote it. Without facts a foreign program did: then it is looked at here.
Result<core::Payload> payload_of(std::string_view text, const Reply* facts);

// A hash that was read with HMGET: values in the order of `names`.
class Fields {
 public:
  Fields(const std::vector<std::string>& names, const Reply& reply) : names_(names), reply_(reply) {}
  const Reply* find(std::string_view name) const;  // null: not there
  std::string_view text(std::string_view name) const;
  std::uint64_t number(std::string_view name) const { return number_of(text(name)); }
  bool has(std::string_view name) const { return find(name) != nullptr; }

 private:
  const std::vector<std::string>& names_;
  const Reply& reply_;
};

core::TaskState state_of(std::string_view status, std::string_view token);
core::Options options_of(const Fields& fields);
core::Measures measures_of(const Fields& fields);

// The fields that tell of a task to readers. The result's text is the last one, and left out for whoever does not want
// it.
const std::vector<std::string>& view_fields(bool with_result);
const std::vector<std::string>& story_fields();
// Without its result. NotFound: nothing is there.
Result<TaskView> view_of(TaskId id, const Fields& fields);

// One line of JSON for each worker, as an array.
std::string text_of(const std::vector<WorkerReport>& workers);
std::vector<WorkerReport> workers_of(std::string_view text);  // what cannot be read is left out

}  // namespace treadle::store::redis
