#include "shrink.h"

#include <charconv>

namespace treadle::sim {
namespace {

constexpr int kMostRuns = 400;

bool still_fails(std::uint64_t seed, const Scenario& scenario, const std::string& checker, Shrunk& best) {
  ++best.runs;
  const Verdict verdict = Cluster(seed, scenario, false).run();
  if (checker_of(verdict) != checker) return false;
  best.scenario = scenario;
  best.says = verdict.violations.front();
  return true;
}

// Tries the least value first, then the middle: a half of what is left each time.
bool make_less(std::uint64_t seed, const Knob& knob, const std::string& checker, Shrunk& best) {
  const double now = knob.get(best.scenario);
  if (now <= knob.least) return false;
  for (const double value : {knob.least, (now + knob.least) / 2}) {
    if (best.runs >= kMostRuns) return false;
    Scenario smaller = best.scenario;
    knob.set(smaller, value);
    if (knob.get(smaller) >= now) continue;  // whole numbers: there is nothing between
    if (still_fails(seed, smaller, checker, best)) return true;
  }
  return false;
}

std::string difference(const Scenario& from, const Scenario& to) {
  std::string text;
  for (const Knob& knob : knobs()) {
    if (knob.get(from) == knob.get(to)) continue;
    char digits[32];
    const auto end = std::to_chars(digits, digits + sizeof digits, knob.get(to));
    text += std::string(text.empty() ? "" : ",") + knob.name + "=" + std::string(digits, end.ptr);
  }
  return text;
}

}  // namespace

std::string checker_of(const Verdict& verdict) {
  if (verdict.violations.empty()) return "";
  const std::string& text = verdict.violations.front();
  const auto from = text.find('[');
  return text.substr(from + 1, text.find(']') - from - 1);
}

Shrunk shrink(std::uint64_t seed, Scenario scenario) {
  Shrunk best{scenario, "", "", 0};
  const Verdict first = Cluster(seed, scenario, false).run();
  const std::string checker = checker_of(first);
  if (checker.empty()) return best;
  best.says = first.violations.front();
  for (bool better = true; better && best.runs < kMostRuns;) {
    better = false;
    for (const Knob& knob : knobs()) better |= make_less(seed, knob, checker, best);
  }
  best.wishes = difference(scenario, best.scenario);
  return best;
}

}  // namespace treadle::sim
