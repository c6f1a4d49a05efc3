// Beast's incremental parser, filling our Request. A heavy header: for connection.cpp and the fuzzer only.
#pragma once

#include <string_view>

#include <boost/beast/http/basic_parser.hpp>

#include "gateway/request.h"

namespace treadle::gateway {

// Receives the body of a request in pieces, chunked or not. Returning false stops the parser with an error.
class BodyReceiver {
 public:
  virtual ~BodyReceiver() = default;
  virtual bool body_piece(std::string_view piece) = 0;
};

// One request. Non-eager until its header is done, so that the connection can decide on it before its body is parsed.
class RequestParser final : public boost::beast::http::basic_parser<true> {
 public:
  RequestParser(Request& request, BodyReceiver& receiver) : request_(request), receiver_(receiver) {}

 private:
  using error_code = boost::beast::error_code;
  using string_view = boost::beast::string_view;
  using verb = boost::beast::http::verb;
  using field = boost::beast::http::field;

  void on_request_impl(verb method, string_view, string_view target, int version, error_code&) override;
  void on_response_impl(int, string_view, int, error_code&) override {}  // requests only
  void on_field_impl(field name, string_view text, string_view value, error_code&) override;
  void on_header_impl(error_code&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}
  std::size_t on_body_impl(string_view piece, error_code& error) override;
  void on_chunk_header_impl(std::uint64_t, string_view, error_code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, string_view piece, error_code& error) override;
  void on_finish_impl(error_code&) override {}

  Request& request_;
  BodyReceiver& receiver_;
};

}  // namespace treadle::gateway
