#include "scenario.h"

#include <charconv>

namespace treadle::sim {
namespace {

int up_to(Rng& rng, int most) { return 1 + static_cast<int>(rng.below(static_cast<std::uint64_t>(most))); }

void draw_cluster(Rng& rng, Scenario& s) {
  s.mode = static_cast<core::Mode>(rng.below(3));
  const bool local = s.mode == core::Mode::Local;
  s.gateways = up_to(rng, 3);
  s.dispatchers = local ? 1 : up_to(rng, 3);
  s.workers = local ? 1 : up_to(rng, 3);
  s.slots = up_to(rng, 4);
  s.tasks = 40 + static_cast<int>(rng.below(120));
  s.at_most_once = static_cast<int>(rng.below(3));
  s.may_hang = rng.chance(0.3);
  s.delays = rng.chance(0.3);
  s.kill_often = rng.chance(0.15);
  if (s.mode == core::Mode::Pull && rng.chance(0.4)) s.plain = up_to(rng, 2);
}

// These take nothing from a worker that has it.
void draw_harmless(Rng& rng, Scenario& s) {
  if (rng.chance(0.4)) s.store = {rng.chance(0.7) ? 0.1 : 0.3, 0.1, rng.chance(0.3) ? 0.05 : 0};
  if (rng.chance(0.3)) s.store_stalls = up_to(rng, 3);
  if (rng.chance(0.2)) s.client_stalls = up_to(rng, 2);
  if (rng.chance(0.3)) s.gateway_kills = up_to(rng, 3);
  if (rng.chance(0.2)) s.gateway_stalls = up_to(rng, 2);
  if (rng.chance(0.2)) s.store_outages = up_to(rng, 2);
  if (rng.chance(0.3)) s.wall_steps = up_to(rng, 3);
  if (rng.chance(0.4)) s.cancels = rng.chance(0.5) ? 5 : 50;
  if (rng.chance(0.4)) s.hint_loss = rng.chance(0.5) ? 0.5 : 1;
}

void draw_losses(Rng& rng, Scenario& s) {
  if (rng.chance(0.3)) s.process_crashes = up_to(rng, 2);
  if (s.process_crashes > 0) s.all_at_once = rng.chance(0.4);
  if (rng.chance(0.4)) s.stalls = up_to(rng, 3);
  if (s.mode == core::Mode::Local) return;
  if (rng.chance(0.5)) {
    s.network = {rng.chance(0.5) ? 0.02 : 0.2, rng.chance(0.5) ? 0.02 : 0.2, rng.chance(0.5) ? 0.0 : 0.1,
                 rng.chance(0.5) ? Duration(2ms) : Duration(300ms)};
  }
  if (rng.chance(0.5)) s.worker_kills = up_to(rng, 3);
  if (s.plain > 0 && rng.chance(0.5)) s.plain_kills = up_to(rng, 2);
  if (rng.chance(0.4)) s.dispatcher_kills = up_to(rng, 2);
  if (rng.chance(0.15)) s.store_restarts = up_to(rng, 2);
  if (rng.chance(0.1)) s.flushes = 1;
  if (rng.chance(0.3)) s.partitions = 1;
  if (rng.chance(0.2)) s.half_opens = 1;
  if (rng.chance(0.15)) s.doubles = 1;
  if (rng.chance(0.15)) s.liars = 1;
  if (rng.chance(0.4)) s.moves = up_to(rng, 4);
}

#define KNOB(member, least)                                   \
  Knob {                                                      \
#member, least, [](const Scenario& s) {                     \
      return static_cast<double>(s.member);                     \
    }, [](Scenario& s, double v) {                              \
      s.member = static_cast<std::decay_t<decltype(s.member)>>(v); \
    } \
  }
constexpr Knob kKnobs[] = {
    KNOB(gateways, 1),
    KNOB(dispatchers, 1),
    KNOB(workers, 1),
    KNOB(slots, 1),
    KNOB(plain, 0),
    KNOB(tasks, 1),
    KNOB(at_most_once, 0),
    KNOB(may_hang, 0),
    KNOB(kill_often, 0),
    KNOB(delays, 0),
    KNOB(network.drop, 0),
    KNOB(network.duplicate, 0),
    KNOB(network.reorder, 0),
    Knob{"network.delay_ms", 1, [](const Scenario& s) { return static_cast<double>(s.network.delay_max / 1ms); },
         [](Scenario& s, double v) { s.network.delay_max = std::chrono::milliseconds(static_cast<std::int64_t>(v)); }},
    KNOB(store.lose_answer, 0),
    KNOB(store.away, 0),
    KNOB(store.slow, 0),
    KNOB(hint_loss, 0),
    KNOB(worker_kills, 0),
    KNOB(plain_kills, 0),
    KNOB(dispatcher_kills, 0),
    KNOB(gateway_kills, 0),
    KNOB(process_crashes, 0),
    KNOB(all_at_once, 0),
    KNOB(store_restarts, 0),
    KNOB(flushes, 0),
    KNOB(stalls, 0),
    KNOB(store_stalls, 0),
    KNOB(client_stalls, 0),
    KNOB(gateway_stalls, 0),
    KNOB(store_outages, 0),
    KNOB(partitions, 0),
    KNOB(half_opens, 0),
    KNOB(moves, 0),
    KNOB(doubles, 0),
    KNOB(liars, 0),
    KNOB(wall_steps, 0),
    KNOB(cancels, 0),
};
#undef KNOB

std::string text_of(double value) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value);
  return {text, end.ptr};
}

}  // namespace

// Each kind of fault is drawn on its own, so that one seed has one of them and another has all; one in six has none
// that could excuse a lost attempt.
Scenario Scenario::of(std::uint64_t seed) {
  Rng rng(seed ^ 0x5ce9a510);
  Scenario s;
  draw_cluster(rng, s);
  draw_harmless(rng, s);
  if (!rng.chance(1.0 / 6)) {
    draw_losses(rng, s);
  } else if (s.mode != core::Mode::Local && rng.chance(0.7)) {
    s.network = {0, 0.2, 0,
                 rng.chance(0.5) ? Duration(2ms) : Duration(300ms)};  // late and doubled, and nothing is lost
    if (s.dispatchers == 1) s.moves = up_to(rng, 4);
  }
  // After a crash a delay counts by the wall clock, as documented: with steps of it such a task may wait for an hour.
  if (s.process_crashes + s.store_restarts > 0 && s.wall_steps > 0) s.delays = 0;
  return s;
}

bool Scenario::calm() const {
  return worker_kills + plain_kills + dispatcher_kills + process_crashes + store_restarts + flushes + stalls +
                 partitions + half_opens + doubles + liars + (dispatchers > 1 ? moves : 0) ==
             0 &&
         network.drop == 0 && network.reorder == 0 &&
         (dispatchers == 1 || store.slow == 0);  // renewals that are late for too long look like death
}

std::span<const Knob> knobs() { return kKnobs; }

std::string Scenario::describe() const {
  std::string text(core::name_of(mode));
  for (const Knob& knob : kKnobs) text += std::string(" ") + knob.name + "=" + text_of(knob.get(*this));
  return text;
}

bool Scenario::change(std::string_view wishes) {
  while (!wishes.empty()) {
    const std::string_view wish = wishes.substr(0, wishes.find(','));
    wishes.remove_prefix(std::min(wishes.size(), wish.size() + 1));
    const std::string_view name = wish.substr(0, wish.find('='));
    double value = 0;
    const std::string_view digits = wish.substr(std::min(wish.size(), name.size() + 1));
    if (std::from_chars(digits.data(), digits.data() + digits.size(), value).ec != std::errc()) return false;
    bool known = false;
    for (const Knob& knob : kKnobs) {
      if (name == knob.name) knob.set(*this, std::max(value, knob.least)), known = true;
    }
    if (!known) return false;
  }
  return true;
}

}  // namespace treadle::sim
