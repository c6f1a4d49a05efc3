// What the dispatcher core costs with many workers: one JSON line for each mode and number of workers, then one with
// the growth from the smallest fleet to the largest.
//
//   treadle_scale_bench [--tasks N] [--workers N,N,...] [--slots N] [--mode push|pull]
//
// Times are those of step() and tick() alone, in one thread. task_ns: claim, placement, outcome, settlement of one task
// in a fleet whose slots are all taken. heartbeat_ns, busy_heartbeat_ns: one heartbeat of an idle worker and of one
// whose slots are taken (it names its attempts), with the dispatcher's own timers. idle_share: of one core, at the
// default heartbeat. The last four are what must not grow with the fleet when things go wrong: see their functions.
#include <malloc.h>

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <string_view>

#include "base/assert.h"
#include "fleet.h"

namespace {

using namespace treadle;
using scale::Fleet;
using scale::Shape;
using scale::Spent;

using Figures = std::map<std::string, double>;

double heap_bytes() {
  const auto info = mallinfo2();
  return static_cast<double>(info.uordblks + info.hblkhd);
}

double per(const Spent& spent, double count) { return count > 0 ? spent.core_ns / count : 0; }

void registering(Fleet& fleet, Figures& f) {
  fleet.take_spent();
  fleet.register_all();
  f["register_ns"] = per(fleet.take_spent(), fleet.shape().workers);
}

void tasks(Fleet& fleet, std::uint64_t n, Figures& f) {
  const std::uint64_t full = std::uint64_t{fleet.shape().workers} * fleet.shape().slots;
  fleet.submit(n);
  fleet.fill(full < n ? full : n);
  fleet.run_dry();
  const Spent spent = fleet.take_spent();
  TREADLE_ASSERT(fleet.ended() == n && fleet.lost() == 0);
  f["task_ns"] = per(spent, static_cast<double>(n));
  f["task_turn_longest_us"] = spent.longest_turn_ns / 1e3;
  f["messages_per_task"] = static_cast<double>(spent.messages) / static_cast<double>(n);
}

void standing(Fleet& fleet, const std::string& name, Figures& f) {
  constexpr Duration kTime = 3s;
  fleet.take_spent();
  fleet.stand(kTime);
  const Spent spent = fleet.take_spent();
  f[name + "heartbeat_ns"] = per(spent, static_cast<double>(spent.messages));
  f[name + "share"] = spent.core_ns / static_cast<double>(kTime.count());
  f[name + "turn_longest_us"] = spent.longest_turn_ns / 1e3;
  TREADLE_ASSERT(fleet.core().figures().workers == fleet.shape().workers);
}

// All workers need the body of one function at the same moment: the first tasks of a function that all have never seen.
void one_function(Fleet& fleet, Figures& f) {
  fleet.take_spent();
  fleet.want_body();
  f["same_body_ns"] = per(fleet.take_spent(), fleet.shape().workers);
  TREADLE_ASSERT(fleet.bodies() >= fleet.shape().workers);
}

// Each slot is taken and each worker grants prefetch, which at-most-once attempts may not use: where is a free slot?
void no_slot(Fleet& fleet, Figures& f) {
  constexpr int kTurns = 20;
  fleet.prefetch(2);
  fleet.speak_all();
  fleet.take_spent();
  fleet.submit(std::uint64_t{kTurns} * core::limits::kBatch, core::Delivery::AtMostOnce);
  const std::uint64_t before = fleet.held();
  for (int i = 0; i < kTurns; ++i) fleet.turn(1us);
  f["no_slot_turn_us"] = per(fleet.take_spent(), kTurns) / 1e3;
  TREADLE_ASSERT(fleet.held() == before);
}

// The store answers no outcome while each worker ends its tasks: a turn must not look at all that is under way.
void store_away(Fleet& fleet, Figures& f) {
  fleet.store_answers(false);
  const std::uint64_t n = fleet.held();
  fleet.take_spent();
  fleet.run_dry();
  f["store_away_ns"] = per(fleet.take_spent(), static_cast<double>(n));
  fleet.store_answers(true);
  fleet.run_dry();
}

Figures measure(const Shape& shape, std::uint64_t n) {
  Figures f;
  const double before = heap_bytes();
  Fleet fleet(shape);
  registering(fleet, f);
  f["bytes_per_worker"] = (heap_bytes() - before) / shape.workers - static_cast<double>(fleet.own_bytes());
  standing(fleet, "idle_", f);
  tasks(fleet, n, f);
  f["bytes_per_worker_after"] = (heap_bytes() - before) / shape.workers - static_cast<double>(fleet.own_bytes());
  one_function(fleet, f);
  const std::uint64_t full = std::uint64_t{shape.workers} * shape.slots;
  fleet.submit(full);
  TREADLE_ASSERT(fleet.fill(full));
  standing(fleet, "busy_", f);
  store_away(fleet, f);
  fleet.submit(full);
  TREADLE_ASSERT(fleet.fill(full));
  no_slot(fleet, f);
  return f;
}

void print(const char* kind, std::string_view mode, const std::string& more, const Figures& figures) {
  std::printf("{\"bench\":\"%s\",\"mode\":\"%.*s\"%s", kind, static_cast<int>(mode.size()), mode.data(), more.c_str());
  for (const auto& [name, value] : figures) std::printf(",\"%s\":%.4g", name.c_str(), value);
  std::printf("}\n");
  std::fflush(stdout);
}

struct Arguments {
  std::uint64_t tasks = 1'000'000;
  std::vector<std::uint32_t> workers = {1'000, 10'000, 130'000};
  std::uint32_t slots = 4;
  std::vector<core::Mode> modes = {core::Mode::Push, core::Mode::Pull};
};

[[noreturn]] void usage(const char* wrong) {
  std::fprintf(stderr,
               "treadle_scale_bench: '%s' is not understood; it takes [--tasks N] [--workers N,N,...] [--slots N] "
               "[--mode push|pull], numbers from 1 to 100000000\n",
               wrong);
  std::exit(2);
}

std::uint32_t number(std::string_view text, const char* whole) {
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value == 0 || value > 100'000'000) usage(whole);
  return value;
}

Arguments parse(int argc, char** argv) {
  Arguments a;
  for (int i = 1; i < argc; i += 2) {
    const std::string_view name = argv[i];
    if (i + 1 == argc) usage(argv[i]);
    std::string_view value = argv[i + 1];
    if (name == "--tasks") {
      a.tasks = number(value, argv[i + 1]);
    } else if (name == "--slots") {
      a.slots = number(value, argv[i + 1]);
    } else if (name == "--mode") {
      const auto mode = core::parse_mode(value);
      if (!mode || *mode == core::Mode::Local) usage(argv[i + 1]);
      a.modes = {*mode};
    } else if (name == "--workers") {
      a.workers.clear();
      for (bool more = true; more;) {
        const std::size_t comma = value.find(',');
        more = comma != value.npos;
        a.workers.push_back(number(value.substr(0, comma), argv[i + 1]));
        value.remove_prefix(more ? comma + 1 : 0);
      }
    } else {
      usage(argv[i]);
    }
  }
  return a;
}

}  // namespace

int main(int argc, char** argv) {
  const Arguments a = parse(argc, argv);
  for (const core::Mode mode : a.modes) {
    std::vector<Figures> all;
    for (const std::uint32_t workers : a.workers) {
      all.push_back(measure({.mode = mode, .workers = workers, .slots = a.slots}, a.tasks));
      print("scale", core::name_of(mode),
            ",\"workers\":" + std::to_string(workers) + ",\"slots\":" + std::to_string(a.slots) +
                ",\"tasks\":" + std::to_string(a.tasks),
            all.back());
      malloc_trim(0);
    }
    Figures growth;
    for (const auto& [name, value] : all.back()) {
      if (name.ends_with("_ns") && all.front()[name] > 0) growth[name] = value / all.front()[name];
    }
    print("scale-growth", core::name_of(mode),
          ",\"from\":" + std::to_string(a.workers.front()) + ",\"to\":" + std::to_string(a.workers.back()), growth);
  }
}
