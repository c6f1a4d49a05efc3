#include "gateway/request_parser.h"

#include <string>

#include <boost/beast/core/string.hpp>
#include <boost/beast/http/error.hpp>

namespace treadle::gateway {
namespace {

using boost::beast::http::field;
using boost::beast::http::verb;

Method method_of(verb method) {
  switch (method) {
    case verb::get: return Method::Get;
    case verb::head: return Method::Head;
    case verb::post: return Method::Post;
    case verb::put: return Method::Put;
    case verb::patch: return Method::Patch;
    case verb::delete_: return Method::Delete;
    case verb::options: return Method::Options;
    default: return Method::Other;
  }
}

// A list may come in several lines.
void append_to_list(std::string& list, std::string_view value) {
  if (!list.empty()) list += ", ";
  list += value;
}

}  // namespace

void RequestParser::on_request_impl(verb method, string_view, string_view target, int version, error_code&) {
  request_.method = method_of(method);
  request_.target.assign(target.data(), target.size());
  request_.http10 = version == 10;
}

void RequestParser::on_field_impl(field name, string_view text, string_view raw, error_code&) {
  if (is_header_done()) return;  // trailers of a chunked body cannot change what was decided
  const std::string_view value(raw.data(), raw.size());
  switch (name) {
    case field::host:
      request_.host = value;
      ++request_.hosts;
      return;
    case field::origin: request_.origin = value; return;
    case field::accept: append_to_list(request_.accept, value); return;
    case field::accept_encoding: append_to_list(request_.accept_encoding, value); return;
    case field::content_encoding: append_to_list(request_.content_encoding, value); return;
    case field::content_type: request_.content_type = value; return;
    case field::if_none_match: append_to_list(request_.if_none_match, value); return;
    case field::prefer: append_to_list(request_.prefer, value); return;
    case field::transfer_encoding: request_.transfer_encoding = true; return;
    case field::access_control_request_method: request_.cors_method = value; return;
    case field::access_control_request_headers: request_.cors_headers = value; return;
    case field::expect: request_.expect_continue = boost::beast::iequals(raw, "100-continue"); return;
    default:
      if (boost::beast::iequals(text, "Idempotency-Key")) request_.idempotency_key = value;
      if (boost::beast::iequals(text, "Last-Event-ID")) request_.last_event_id = value;
  }
}

std::size_t RequestParser::on_body_impl(string_view piece, error_code& error) {
  if (!receiver_.body_piece({piece.data(), piece.size()})) error = boost::beast::http::error::body_limit;
  return piece.size();
}

std::size_t RequestParser::on_chunk_body_impl(std::uint64_t, string_view piece, error_code& error) {
  return on_body_impl(piece, error);
}

}  // namespace treadle::gateway
