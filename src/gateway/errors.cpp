#include "gateway/errors.h"

#include <array>

#include "base/assert.h"
#include "base/did_you_mean.h"
#include "base/json_text.h"

namespace treadle::gateway {
namespace {

constexpr std::array<ErrorRow, 12> kTable{{
    {Code::Invalid, 400, 400, "invalid-request", 0,
     "The request is malformed; `detail` names the field and says what it should be."},
    {Code::NotFound, 404, 404, "not-found", 0, "There is no such function or task."},
    {Code::Conflict, 409, 409, "conflict", 0,
     "The Idempotency-Key was used with another body, or the task has ended already."},
    {Code::TooLarge, 413, 413, "too-large", 0,
     "The request is over a size limit; `detail` names the limit and its flag."},
    {Code::Full, 429, 429, "limit-reached", 1,
     "A limit of the service is reached (waiting tasks, waiting requests). Try again later."},
    {Code::StoreError, 500, 500, "store-error", 0, "The store answered with an error."},
    {Code::StoreAway, 502, 503, "store-away", 2, "The store cannot be reached."},
    {Code::StoreFull, 500, 507, "store-full", 0,
     "The store is out of memory and takes nothing new; running tasks still finish."},
    {Code::StoreReadOnly, 500, 503, "store-read-only", 2, "The store refuses changes for now."},
    {Code::DiskFull, 507, 507, "disk-full", 0, "The store has no space left; running tasks still finish."},
    {Code::Unavailable, 503, 503, "unavailable", 1, "The service is shutting down or overloaded. Try again."},
    {Code::Internal, 500, 500, "internal-error", 0, "A fault of the service itself."},
}};

}  // namespace

Error no_new_work() {
  return fail(Code::Unavailable, "The service is shutting down and takes no new work. Try again.");
}

Error not_an_id(std::string_view field, std::string_view maker) {
  return fail(Code::Invalid, std::string(field) +
                                 " is not a UUID like 71ed469b-bc52-45d5-89ae-b21aa40760c9; use the one that " +
                                 std::string(maker) + " answered.");
}

Error unknown_task(std::string_view id) {
  return fail(Code::NotFound, "There is no task " + std::string(id) +
                                  ". It was never accepted here, or it ended so long ago that it was removed.");
}

Error unknown_name(std::string_view what, std::string_view shown, std::string_view name,
                   const std::vector<std::string_view>& known) {
  std::string all;
  for (const std::string_view one : known) all.append(all.empty() ? "" : ", ").append(one);
  const std::string_view guess = did_you_mean(name, known);
  std::string text = "There is no ";
  text.append(what).append(" \"").append(shown).append("\"");
  if (!guess.empty()) text.append("; did you mean \"").append(guess).append("\"?");
  text.append(guess.empty() ? "; there are: " : " There are: ").append(all.empty() ? "none" : all).append(".");
  return fail(Code::Invalid, std::move(text));
}

const ErrorRow& error_row(Code code) {
  for (const auto& row : kTable)
    if (row.code == code) return row;
  assert_failed("error_row", __FILE__, __LINE__, "a code is missing in the table");
}

std::string_view reason_phrase(int status) {
  switch (status) {
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 204: return "No Content";
    case 304: return "Not Modified";
    case 400: return "Bad Request";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 406: return "Not Acceptable";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 413: return "Content Too Large";
    case 415: return "Unsupported Media Type";
    case 417: return "Expectation Failed";
    case 421: return "Misdirected Request";
    case 422: return "Unprocessable Content";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 507: return "Insufficient Storage";
  }
  assert_failed("reason_phrase", __FILE__, __LINE__, "a status without a phrase");
}

std::string error_body(std::string_view detail) {
  std::string body = "{\"detail\":";
  append_json_string(body, detail);
  body += '}';
  return body;
}

std::string problem_code(int status) {
  for (const ErrorRow& row : kTable)
    if (row.status_v1 == status) return std::string(row.name);
  std::string code(reason_phrase(status));
  for (char& c : code) c = c == ' ' ? '-' : static_cast<char>(c | 0x20);
  return code;
}

std::string problem_body(int status, std::string_view code, std::string_view error_body) {
  std::string body = "{\"type\":\"urn:treadle:problem:";
  body.append(code).append("\",\"title\":\"").append(reason_phrase(status)).append("\",\"status\":");
  body.append(std::to_string(status)).append(",\"code\":\"").append(code).append("\",");
  return body.append(error_body.substr(1));  // the members of {"detail": ...}
}

}  // namespace treadle::gateway
