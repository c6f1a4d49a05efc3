#include <benchmark/benchmark.h>

#include <string>

#include "base/base64.h"

namespace {

using namespace treadle;

std::string bytes_of(std::size_t size) {
  std::string bytes(size, '\0');
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * 131 + i / 7);
  return bytes;
}

void decode(benchmark::State& state, const std::string& text) {
  std::string out;
  for (auto _ : state) {
    out.clear();
    Base64Decoder decoder;
    benchmark::DoNotOptimize(decoder.feed(text, out) && decoder.finish(out));
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(text.size()));
}

void base64_decode_plain(benchmark::State& state) {
  decode(state, base64_encode(bytes_of(static_cast<std::size_t>(state.range(0)))));
}
void base64_decode_lines(benchmark::State& state) {
  decode(state, base64_encode_lines(bytes_of(static_cast<std::size_t>(state.range(0)))));
}

void base64_encode_lines_of(benchmark::State& state) {
  const std::string bytes = bytes_of(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(base64_encode_lines(bytes));
  state.SetBytesProcessed(state.iterations() * state.range(0));
}

BENCHMARK(base64_decode_plain)->Arg(48)->Arg(49152)->Arg(4 << 20);
BENCHMARK(base64_decode_lines)->Arg(48)->Arg(49152)->Arg(4 << 20);
BENCHMARK(base64_encode_lines_of)->Arg(48)->Arg(49152)->Arg(4 << 20);

}  // namespace
