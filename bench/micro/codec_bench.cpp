// The wire's share of a task: a batch of attempts with small arguments down, a batch of outcomes up, and their ACK;
// items per second count encoding and decoding together.
#include <benchmark/benchmark.h>

#include "transport/codec.h"

namespace {

using namespace treadle;

core::Held held(std::uint64_t i) {
  return {TaskId(Uuid{0x0193610f54c27b7e + i, 0xa1b50c2f4e8d9a13}), Token{0x9e3779b97f4a7c15 + i}};
}

core::DispatcherMessage attempts(std::int64_t count) {
  core::DispatcherMessage message;
  message.session = SessionId(Uuid{1, 2});
  message.seq = 4711;
  message.ack = 4710;
  for (std::int64_t i = 0; i < count; ++i) {
    core::Attempt attempt;
    attempt.task = held(static_cast<std::uint64_t>(i)).task;
    attempt.token = held(static_cast<std::uint64_t>(i)).token;
    attempt.number = 1;
    attempt.function = FunctionId(Uuid{3, 4});
    attempt.body_digest = {{5, 6, 7, 8}};
    attempt.args = {Buffer::of(std::string(32, 'a')), {}};
    message.attempts.push_back(attempt);
  }
  return message;
}

core::WorkerMessage outcomes(std::int64_t count) {
  core::WorkerMessage message;
  message.worker = WorkerId(Uuid{9, 10});
  message.boot = 11;
  message.session = SessionId(Uuid{1, 2});
  message.seq = 4711;
  message.ack = 4711;
  message.free_slots = 4;
  for (std::int64_t i = 0; i < count; ++i) {
    core::OutcomeReport report;
    report.attempt = held(static_cast<std::uint64_t>(i));
    report.outcome.result = {Buffer::of(std::string(20, 'r')), {}};
    report.outcome.measures.started_ns = 123'456'789'012'345 + i;
    report.outcome.measures.finished_ns = 123'456'789'112'345 + i;
    message.outcomes.push_back(report);
  }
  return message;
}

void attempts_of_noops(benchmark::State& state) {
  const auto message = attempts(state.range(0));
  for (auto _ : state) {
    transport::Offers offers;
    benchmark::DoNotOptimize(transport::decode_dispatcher(transport::encode(message, &offers)));
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(attempts_of_noops)->Arg(1)->Arg(16)->Arg(64);

void acks(benchmark::State& state) {
  core::DispatcherMessage message;
  for (std::int64_t i = 0; i < state.range(0); ++i) message.settled.push_back(held(static_cast<std::uint64_t>(i)));
  for (auto _ : state) {
    transport::Offers offers;
    benchmark::DoNotOptimize(transport::decode_dispatcher(transport::encode(message, &offers)));
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(acks)->Arg(64);

void outcomes_of_noops(benchmark::State& state) {
  const auto message = outcomes(state.range(0));
  for (auto _ : state) {
    transport::Offers offers;
    benchmark::DoNotOptimize(transport::decode_worker(transport::encode(message, &offers)));
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(outcomes_of_noops)->Arg(1)->Arg(16)->Arg(64);

void encode_attempts(benchmark::State& state) {
  const auto message = attempts(state.range(0));
  for (auto _ : state) {
    transport::Offers offers;
    benchmark::DoNotOptimize(transport::encode(message, &offers));
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(encode_attempts)->Arg(64);

}  // namespace
