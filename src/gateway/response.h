// One HTTP answer, before it is text; and the handle by which a handler gives it, now or later.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/buffer.h"
#include "base/result.h"

namespace treadle::gateway {

inline constexpr std::string_view kJson = "application/json";
inline constexpr std::string_view kPlainText = "text/plain; charset=utf-8";
inline constexpr std::string_view kOctetStream = "application/octet-stream";
inline constexpr std::string_view kProblemJson = "application/problem+json";

// A body that is made while it is sent. Loop thread only.
class BodyStream {
 public:
  virtual ~BodyStream() = default;
  // Appends what there is now, at most `most` bytes. False: that was the last of it. Asked when the client has taken
  // what came before, and after ResponseSink::more_to_send().
  virtual bool read(std::string& out, std::size_t most) = 0;
};

struct Response {
  enum class Blob : std::uint8_t {
    None,
    Raw,         // blob's bytes as they are
    Base64Json,  // base64 in lines of 76 characters, each followed by the two characters \n, as inside a JSON string
  };

  int status = 200;
  std::string_view content_type = kJson;  // static text
  std::string headers;                    // further lines, each ending in CRLF
  std::string body;
  // Sent after `body` and piece by piece, so that a large result is never held as text; `suffix` comes after it.
  Blob blob_form = Blob::None;
  Buffer blob;
  std::string suffix;
  std::shared_ptr<BodyStream> stream;  // the body, if there is one: sent as chunks
  bool close = false;                  // the connection ends after this answer
  bool error = false;                  // `body` is {"detail": ...}
  std::optional<Code> code;            // of an error that has one

  std::uint64_t content_length() const;
};

Response json_response(int status, std::string body);
Response error_response(const Error& error);
Response error_response(int status, std::string_view detail);
// What an error of the root routes is on /v1: RFC 9457, with the statuses of /v1. Other answers stay as they are.
Response as_problem(Response response);

// Where answers go: a connection, or a recorder in a test.
class ResponseSink {
 public:
  virtual ~ResponseSink() = default;
  virtual void answer(std::uint64_t number, Response response) = 0;
  virtual bool gone() const { return false; }  // nobody will read an answer
  virtual void more_to_send() {}               // a BodyStream that was answered has more
};

// The duty to answer one request, exactly once, on the loop thread. Dropping it unanswered answers 500, so that a
// pipeline behind it never hangs. The client may be gone meanwhile; the answer is then dropped.
class Responder {
 public:
  Responder() = default;
  Responder(std::shared_ptr<ResponseSink> sink, std::uint64_t number) : sink_(std::move(sink)), number_(number) {}
  Responder(Responder&&) = default;
  Responder& operator=(Responder&& other);
  ~Responder();

  explicit operator bool() const { return sink_ != nullptr; }  // not answered yet
  const ResponseSink* sink() const { return sink_.get(); }     // the same for all requests of a connection
  std::weak_ptr<ResponseSink> weak_sink() const { return sink_; }
  void send(Response response);
  void send(int status, std::string json) { send(json_response(status, std::move(json))); }
  void fail(const Error& error) { send(error_response(error)); }

 private:
  std::shared_ptr<ResponseSink> sink_;
  std::uint64_t number_ = 0;
};

}  // namespace treadle::gateway
