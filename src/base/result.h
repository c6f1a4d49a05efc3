// What a call gives back when it may fail for reasons of the domain: a value, or an Error with a code and one helpful
// sentence.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include <tl/expected.hpp>

namespace treadle {

// One word per way to fail. gateway/errors maps each to an HTTP status; the map is the only one.
enum class Code : std::uint8_t {
  Invalid,        // the caller sent something malformed                          400
  NotFound,       // no such function or task                                     404
  Conflict,       // idempotency key with another body; wrong state for the call  409
  TooLarge,       // over a named size limit                                      413
  Full,           // one of our own limits (queue length, waiters)                429
  StoreError,     // the store answered with an error                             500
  StoreAway,      // the store cannot be reached                                  502 (root routes), 503 (/v1)
  StoreFull,      // the store is out of memory and takes nothing new            500 (root routes), 507 (/v1)
  StoreReadOnly,  // the store refuses changes for now (Redis: MISCONF)          500 (root routes), 503 (/v1)
  DiskFull,       // no space left                                                507
  Unavailable,    // shutting down                                                503
  Internal,       // our own fault, caught at an edge                             500
};

struct Error {
  Code code = Code::Internal;
  std::string message;  // what was tried, on what, and what to do next
};

// tl::expected lacks [[nodiscard]] on the class; a dropped failure must not compile.
template <class T>
class [[nodiscard]] Result : public tl::expected<T, Error> {
 public:
  using tl::expected<T, Error>::expected;
  Result(Error error) : tl::expected<T, Error>(tl::unexpected<Error>(std::move(error))) {}
};

inline Error fail(Code code, std::string message) { return Error{code, std::move(message)}; }

}  // namespace treadle

#define TREADLE_CONCAT_(a, b) a##b
#define TREADLE_CONCAT(a, b) TREADLE_CONCAT_(a, b)
#define TREADLE_TRY_(tmp, decl, expr)                        \
  auto tmp = (expr);                                         \
  if (!tmp) return ::treadle::Error(std::move(tmp.error())); \
  decl = std::move(*tmp)
// TRY(auto x, load(id)); returns the error of `load` from the enclosing function, or declares x.
#define TRY(decl, expr) TREADLE_TRY_(TREADLE_CONCAT(treadle_try_, __COUNTER__), decl, expr)
