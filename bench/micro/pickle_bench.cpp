#include <benchmark/benchmark.h>

#include <string>

#include "core/pickle.h"

namespace {

using namespace treadle;
using namespace std::string_literals;

void verify(benchmark::State& state, const std::string& bytes) {
  core::PickleVerifier verifier;
  for (auto _ : state) {
    verifier.reset();
    verifier.feed(bytes);
    if (!verifier.finish()) state.SkipWithError("refused");
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(bytes.size()));
}

// A list as the C pickler writes it: batches of a thousand.
std::string list_of(std::size_t count, const std::string& item) {
  std::string bytes = "\x80\x04]\x94";
  for (std::size_t i = 0; i < count; ++i) {
    if (i % 1000 == 0) bytes += "(";
    bytes += item;
    if (i % 1000 == 999) bytes += "e";
  }
  return bytes + ".";
}

// ((3, 4), {}) and (("hello", 2.5), {"scale": 3}).
void pickle_small_args(benchmark::State& state) {
  verify(state, "\x80\x04\x95\x0a\0\0\0\0\0\0\0K\3K\4\x86\x94}\x94\x86\x94."s);
}
void pickle_small_args_with_text(benchmark::State& state) {
  verify(state, "\x80\x04\x8c\5hello\x94G\x40\x04\0\0\0\0\0\0\x86\x94}\x94\x8c\5scale\x94K\3s\x86\x94."s);
}
void pickle_floats(benchmark::State& state) {
  verify(state, list_of(static_cast<std::size_t>(state.range(0)), "G\x3f\xf0\0\0\0\0\0\0"s));
}
void pickle_small_ints(benchmark::State& state) {
  verify(state, list_of(static_cast<std::size_t>(state.range(0)), "K\7"));
}
void pickle_strings(benchmark::State& state) {
  verify(state, list_of(static_cast<std::size_t>(state.range(0)), "\x8c\x10sixteen letters!\x94"));
}
void pickle_mixed(benchmark::State& state) {
  verify(state, list_of(static_cast<std::size_t>(state.range(0)),
                        "G\x3f\xf0\0\0\0\0\0\0"s + "B\0\x04\0\0"s + std::string(1024, 'b') + "\x94"));
}
void pickle_bytes(benchmark::State& state) {
  const auto size = static_cast<std::uint32_t>(state.range(0));
  std::string length(4, '\0');
  for (int i = 0; i < 4; ++i) length[static_cast<std::size_t>(i)] = static_cast<char>(size >> 8 * i);
  verify(state,
         "\x80\x04"
         "B" +
             length + std::string(size, 'x') + ".");
}
void pickle_text(benchmark::State& state) {
  const auto size = static_cast<std::uint32_t>(state.range(0));
  std::string length(4, '\0');
  for (int i = 0; i < 4; ++i) length[static_cast<std::size_t>(i)] = static_cast<char>(size >> 8 * i);
  verify(state,
         "\x80\x04"
         "X" +
             length + std::string(size, 'x') + ".");
}

BENCHMARK(pickle_small_args);
BENCHMARK(pickle_small_args_with_text);
BENCHMARK(pickle_floats)->Arg(10'000'000)->Unit(benchmark::kMillisecond);
BENCHMARK(pickle_small_ints)->Arg(1'000'000)->Unit(benchmark::kMillisecond);
BENCHMARK(pickle_strings)->Arg(1'000'000)->Unit(benchmark::kMillisecond);
BENCHMARK(pickle_mixed)->Arg(50'000)->Unit(benchmark::kMillisecond);
BENCHMARK(pickle_bytes)->Arg(50 << 20)->Unit(benchmark::kMillisecond);
BENCHMARK(pickle_text)->Arg(50 << 20)->Unit(benchmark::kMillisecond);

}  // namespace
