#include "gateway/outbox.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/assert.h"
#include "gateway/base64_json.h"
#include "gateway/errors.h"

namespace treadle::gateway {
namespace {

constexpr std::size_t kHigh = 256u << 10;           // unsent bytes, then no further answer is written out
constexpr std::size_t kPiece = kBase64Line * 1024;  // bytes of a blob that are turned into text at a time
constexpr std::size_t kKeep = 64u << 10;            // capacity that an idle connection keeps

void append_number(std::string& out, std::uint64_t value) {
  char digits[20];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  out.append(digits, end);
}

void append_status(std::string& out, int status) {
  if (status == 200) {
    out += "HTTP/1.1 200 OK\r\n";
    return;
  }
  out += "HTTP/1.1 ";
  append_number(out, static_cast<std::uint64_t>(status));
  out += ' ';
  out += reason_phrase(status);
  out += "\r\n";
}

void append_head(std::string& out, const Response& response, const AnswerFrame& frame, bool close,
                 std::string_view date) {
  append_status(out, response.status);
  out += "Date: ";
  out += date;
  if (response.status != 204 && response.status != 304) {
    out += "\r\nContent-Type: ";
    out += response.content_type;
    if (response.stream == nullptr) {
      out += "\r\nContent-Length: ";
      append_number(out, response.content_length());
    } else if (!frame.http10) {
      out += "\r\nTransfer-Encoding: chunked";
    }
  }
  out += "\r\n";
  out += response.headers;
  if (!frame.cors_origin.empty()) {
    out +=
        "Access-Control-Allow-Origin: " + frame.cors_origin +
        "\r\nAccess-Control-Expose-Headers: ETag, Idempotency-Replayed, Link, Location, Preference-Applied, Retry-After"
        "\r\nVary: Origin\r\n";
  }
  if (close) out += "Connection: close\r\n";
  if (!close && frame.http10) out += "Connection: keep-alive\r\n";
  out += "\r\n";
}

}  // namespace

std::uint64_t Outbox::open(AnswerFrame frame) {
  places_.push_back({std::move(frame), false, {}});
  return first_number_ + (places_.size() - 1 - first_);
}

void Outbox::fill(std::uint64_t number, Response response, std::string_view date) {
  TREADLE_ASSERT(number >= first_number_ && number - first_number_ < unanswered());
  Place& place = places_[first_ + (number - first_number_)];
  TREADLE_ASSERT_MSG(!place.ready, "a request was answered twice");
  place.response = std::move(response);
  place.ready = true;
  if (number == first_number_) pump(date);
}

void Outbox::pump(std::string_view date) {
  while (!finished_ && bytes_.size() - sent_ < kHigh) {
    if (streaming_) {
      if (stream_.stream ? stream_chunk() : stream_more()) return;
    } else if (first_ < places_.size() && places_[first_].ready) {
      write(places_[first_], date);
      ++first_;
      ++first_number_;
      if (first_ == places_.size()) {
        places_.clear();
        first_ = 0;
      }
    } else {
      break;
    }
  }
  if (first_ > 64) {  // a long-lived pipeline that never runs empty
    places_.erase(places_.begin(), places_.begin() + static_cast<std::ptrdiff_t>(first_));
    first_ = 0;
  }
  if (continue_due_ && !finished_ && !streaming_ && unanswered() == 0) {
    bytes_ += "HTTP/1.1 100 Continue\r\n\r\n";
    continue_due_ = false;
  }
}

void Outbox::write(Place& place, std::string_view date) {
  const bool close =
      place.frame.close || place.response.close || (place.response.stream != nullptr && place.frame.http10);
  append_head(bytes_, place.response, place.frame, close, date);
  finished_ = close;
  if (place.frame.head || place.response.status == 204 || place.response.status == 304) return;
  bytes_ += place.response.body;
  if (place.response.blob_form == Response::Blob::None && place.response.stream == nullptr) {
    bytes_ += place.response.suffix;
    return;
  }
  stream_ = std::move(place.response);
  streaming_ = true;
  streamed_ = 0;
  finished_ = false;  // until the stream ends
  stream_.close = close;
  chunked_ = !place.frame.http10;
}

// Returns whether there is more to come after the buffer has been sent.
bool Outbox::stream_more() {
  const std::string_view blob = stream_.blob.view();
  while (streamed_ < blob.size()) {
    if (bytes_.size() - sent_ >= kHigh) return true;
    const std::string_view piece = blob.substr(streamed_, kPiece);
    if (stream_.blob_form == Response::Blob::Raw)
      bytes_ += piece;
    else
      append_base64_json(bytes_, piece);
    streamed_ += piece.size();
  }
  bytes_ += stream_.suffix;
  end_stream();
  return false;
}

bool Outbox::stream_chunk() {
  std::string piece;
  const bool more = stream_.stream->read(piece, kPiece);
  if (!piece.empty() && chunked_) {
    char size[20];
    const auto end = std::to_chars(size, size + sizeof size, piece.size(), 16).ptr;
    bytes_.append(size, end).append("\r\n").append(piece).append("\r\n");
  } else {
    bytes_ += piece;
  }
  if (more) return true;
  if (chunked_) bytes_ += "0\r\n\r\n";
  end_stream();
  return false;
}

void Outbox::end_stream() {
  finished_ = stream_.close;
  stream_ = {};
  streaming_ = false;
}

void Outbox::sent(std::size_t bytes) {
  sent_ += bytes;
  if (sent_ < bytes_.size()) {
    if (sent_ > kHigh) bytes_.erase(0, std::exchange(sent_, 0));
    return;
  }
  sent_ = 0;
  bytes_.clear();
  if (bytes_.capacity() > kKeep && !streaming_) std::string().swap(bytes_);
}

}  // namespace treadle::gateway
