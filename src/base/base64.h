// Base64 (RFC 4648) as clients really send it: Python's encodebytes breaks lines after 76 characters, others use none,
// CRLF or spaces. Bytes that decode are unique: what is accepted has one canonical text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace treadle {

// Text in pieces cut anywhere. Skips space, tab, CR and LF; every other character outside the alphabet, missing or
// misplaced padding and set bits after the last byte are refused. Not for several threads at once.
class Base64Decoder {
 public:
  // Appends to `out` what `text` decodes to so far. False: refused, now and for the rest; error() says why and where.
  bool feed(std::string_view text, std::string& out);
  // No more text will come. False: it ends inside a group.
  bool finish(std::string& out);
  void reset() { *this = Base64Decoder(); }
  // One sentence, e.g. "character '!' at offset 9 is not base64". Empty while all is well.
  const std::string& error() const { return error_; }

 private:
  bool decode(std::string_view text, char*& to);
  bool take(unsigned char c, char*& to);
  bool take_padding(char*& to);
  bool refuse(std::string why);

  std::uint64_t offset_ = 0;  // of the character that is looked at, white space counted
  std::uint32_t group_ = 0;   // the bits of the open group of four
  std::uint8_t have_ = 0;     // characters in the open group, padding counted
  std::uint8_t padding_ = 0;  // '=' in the open group
  bool ended_ = false;        // a padded group is complete: only white space may follow
  std::string error_;
};

// Code::Invalid with error() of the decoder.
Result<std::string> base64_decode(std::string_view text);

// Appends the text of `bytes` without any line break.
void base64_encode(std::string_view bytes, std::string& out);
std::string base64_encode(std::string_view bytes);

// The seed's form, that of Python's base64.encodebytes: a newline after every 76 characters and at the end; nothing for
// nothing.
std::string base64_encode_lines(std::string_view bytes);

}  // namespace treadle
