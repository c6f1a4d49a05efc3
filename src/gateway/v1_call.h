// One call of a function as /v1 takes it: from JSON fields to a Submission.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "gateway/form.h"
#include "gateway/json_fwd.h"
#include "gateway/option_fields.h"
#include "gateway/service.h"
#include "store/store.h"

namespace treadle::gateway {

struct Call {
  store::Submission submission;  // without options until complete()
  OptionChanges changes;
  Digest args_digest;  // if it has a key
  WallMs deadline;     // 0 = none
};

struct CallSource {
  const boost::json::object& fields;
  std::string where;  // "" or "tasks[3]."
  Form* decoded;      // has the payload, if there was one; null: the payload is text in `fields`
  std::uint64_t max_payload;
  std::string key;       // idempotency key that the request has for it; "" = none
  bool own_key = false;  // a field "idempotency_key" is allowed, and comes before `key`
  bool named = false;    // the path names the function, so the text does not
};

// Everything that can be wrong with the text of a call.
Result<Call> read_call(const CallSource& source);
// The function's options are known: merges them, and makes the digest of a keyed call.
void complete(Call& call, const core::Options& of_function, WallMs now);

}  // namespace treadle::gateway
