// Redis's protocol: whole and in pieces alike, and what is written as a command is read as the same words.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "store/redis/resp.h"

namespace {

using namespace treadle::store::redis;

void show(const Reply& reply, std::string& out) {
  out += static_cast<char>('a' + static_cast<int>(reply.type));
  out += std::to_string(reply.integer) + ',' + std::to_string(reply.number) + ',' + std::to_string(reply.items.size());
  out += ':' + reply.text;
  for (const Reply& item : reply.items) show(item, out);
}

// All that a parser says about the bytes, given in pieces of `step`.
std::string story(std::string_view bytes, std::size_t step) {
  RespParser parser;
  std::string out;
  for (std::size_t at = 0; at < bytes.size(); at += step) {
    std::string_view input = bytes.substr(at, step);
    while (!input.empty()) {
      const std::size_t before = input.size();
      auto value = parser.next(input);
      if (!value) return out + "!" + value.error().message;
      if (*value) {
        out += (*value)->push ? '>' : '.';
        show((*value)->reply, out);
      } else if (!input.empty() || before == 0) {
        std::abort();  // it asks for more and leaves what it has
      }
    }
  }
  return out + (parser.inside() ? "..." : "");
}

void round_trip(std::string_view bytes, std::size_t step) {
  std::vector<std::string> command;
  for (std::size_t at = 0; at < bytes.size(); at += step) command.emplace_back(bytes.substr(at, step));
  if (command.empty()) return;
  RespWriter writer;
  writer.add(command);
  std::string sent;
  for (const std::string& piece : writer.pieces()) sent += piece;
  RespParser parser;
  std::string_view input = sent;
  const auto value = parser.next(input);
  if (!value || !*value || !input.empty() || (*value)->reply.items.size() != command.size()) std::abort();
  for (std::size_t i = 0; i < command.size(); ++i)
    if ((*value)->reply.items[i].text != command[i]) std::abort();
  if (sent.size() != writer.size() || sent.size() > resp_size(command)) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::size_t step = 1 + data[0] % 37;
  if (story(bytes, step) != story(bytes, bytes.size() + 1)) std::abort();
  round_trip(bytes, step);
  return 0;
}
