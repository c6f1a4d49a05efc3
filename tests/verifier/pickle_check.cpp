// Reads payloads, each behind its length in 8 bytes (little endian), and prints the verdict on each as a line of JSON.
// --splits: also feeds each payload cut in two at every place, and byte by byte; "splits" counts the cuts that gave the
// same verdict.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <string>
#include <string_view>

#include "core/pickle.h"

namespace {

using namespace treadle;
using core::PickleReport;
using core::PickleVerifier;

const char* truth(bool value) { return value ? "true" : "false"; }

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;  // errors hold no control characters
  }
  return out + '"';
}

bool same(const Result<PickleReport>& a, const Result<PickleReport>& b) {
  if (a.has_value() != b.has_value()) return false;
  return a ? *a == *b : a.error().message == b.error().message;
}

std::size_t equal_splits(std::string_view bytes, const Result<PickleReport>& whole) {
  std::size_t equal = 0;
  PickleVerifier verifier;
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
    verifier.reset();
    verifier.feed(bytes.substr(0, cut));
    verifier.feed(bytes.substr(cut));
    equal += same(verifier.finish(), whole);
  }
  verifier.reset();
  for (const char& byte : bytes) verifier.feed({&byte, 1});
  return equal + same(verifier.finish(), whole);
}

void print(const Result<PickleReport>& result, long long ns) {
  if (!result) {
    std::printf("{\"ok\": false, \"ns\": %lld, \"error\": %s", ns, quoted(result.error().message).c_str());
    return;
  }
  const core::PayloadFacts& facts = result->facts;
  const auto function = core::check_function(*result);
  std::printf(
      "{\"ok\": true, \"ns\": %lld, \"root\": %s, \"args\": %s, \"data\": %s, \"main\": %s, \"dill\": %s, "
      "\"cloudpickle\": %s, \"protocol\": %d, \"pythons\": %d, \"not_function\": %s",
      ns, quoted(core::kind_name(result->root)).c_str(), truth(result->is_args), truth(result->only_data),
      truth(facts.names_main), truth(facts.names_dill), truth(facts.names_cloudpickle), facts.protocol, facts.pythons,
      quoted(function ? "" : function.error().message).c_str());
}

}  // namespace

int main(int argc, char** argv) {
  const bool splits = argc > 1 && std::strcmp(argv[1], "--splits") == 0;
  std::ios::sync_with_stdio(false);
  std::uint64_t size = 0;
  std::string bytes;
  while (std::cin.read(reinterpret_cast<char*>(&size), sizeof size)) {
    bytes.resize(size);
    if (!std::cin.read(bytes.data(), static_cast<std::streamsize>(size))) return 1;
    const auto begin = std::chrono::steady_clock::now();
    const Result<PickleReport> result = core::verify_pickle(bytes);
    const auto ns =
        std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - begin).count();
    print(result, static_cast<long long>(ns));
    if (splits) std::printf(", \"splits\": %zu", equal_splits(bytes, result));
    std::printf("}\n");
  }
  return 0;
}
