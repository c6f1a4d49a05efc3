#include "core/scheduling.h"

#include <gtest/gtest.h>

#include "core/allowance.h"

namespace treadle::core {
namespace {

TEST(Scheduling, ComesBackFromTheTextThatHoldsTheLimitsToo) {
  Scheduling some;
  some.retry_on = "ConnectionError requests.exceptions.Timeout";
  some.retry_backoff_milli = 2500;
  some.retry_max_delay_ms = 60'000;
  some.keep_ms = 5000;
  some.labels = "gpu python=3.11";
  some.limit_key = "api:example.org";
  some.limit = 3;
  const std::string around = R"({"env":{"limit_key":"x","labels":"y"}})";
  const std::string text = to_text({.processes = 4}, around, some);
  EXPECT_EQ(scheduling_of(text), some);
  EXPECT_EQ(allowance_of(text), Allowance{.processes = 4});
  EXPECT_EQ(surroundings_of(text), around);
  EXPECT_TRUE(scheduling_of(to_text({.processes = 4}, around)).empty());
  EXPECT_TRUE(scheduling_of("").empty());
  EXPECT_EQ(to_text({}, {}, {.keep_ms = 7}), R"({"keep_ms":7})");
}

TEST(Scheduling, WaitsGrowByTheFactorUpToTheLongest) {
  EXPECT_EQ(retry_wait(2s, {}, 0), 2s);
  EXPECT_EQ(retry_wait(2s, {}, 9), 2s) << "without a factor each is as long as the first";
  Scheduling doubling;
  doubling.retry_backoff_milli = 2000;
  EXPECT_EQ(retry_wait(100ms, doubling, 0), 100ms);
  EXPECT_EQ(retry_wait(100ms, doubling, 3), 800ms);
  EXPECT_EQ(retry_wait(0s, doubling, 3), 0s);
  EXPECT_EQ(retry_wait(1s, doubling, 1000), 24h) << "a day is the longest there is";
  doubling.retry_max_delay_ms = 500;
  EXPECT_EQ(retry_wait(100ms, doubling, 2), 400ms);
  EXPECT_EQ(retry_wait(100ms, doubling, 3), 500ms);
}

TEST(Scheduling, AFailureIsTriedAgainByTheNameOfItsClassOrOfABase) {
  const char* reset = "ConnectionResetError ConnectionError OSError Exception";
  const char* timeout = "requests.exceptions.Timeout requests.exceptions.RequestException OSError Exception";
  EXPECT_TRUE(is_retried("", reset, "ConnectionResetError")) << "no list: every one";
  EXPECT_TRUE(is_retried("KeyError ConnectionError", reset, "ConnectionResetError"));
  EXPECT_TRUE(is_retried("builtins.OSError", reset, "ConnectionResetError"));
  EXPECT_TRUE(is_retried("requests.exceptions.Timeout", timeout, "Timeout"));
  EXPECT_TRUE(is_retried("Timeout", timeout, "Timeout"));
  EXPECT_FALSE(is_retried("other.Timeout", timeout, "Timeout"));
  EXPECT_FALSE(is_retried("Time", timeout, "Timeout"));
  EXPECT_FALSE(is_retried("KeyError", reset, "ConnectionResetError"));
  EXPECT_TRUE(is_retried("requests.exceptions.Timeout", "", "Timeout")) << "a plain worker tells the name only";
  EXPECT_FALSE(is_retried("ConnectionError", "", "Timeout"));
}

TEST(Scheduling, AWorkerServesWhatAsksForNoMoreThanItHas) {
  const std::vector<std::string> offered{"a100", "gpu", "python=3.11"};
  EXPECT_TRUE(has_labels(offered, ""));
  EXPECT_TRUE(has_labels({}, ""));
  EXPECT_TRUE(has_labels(offered, "a100 python=3.11"));
  EXPECT_FALSE(has_labels(offered, "gpu python=3.12"));
  EXPECT_FALSE(has_labels({}, "gpu"));
}

TEST(Scheduling, ALineIsAQueueAndWhatItsTasksAskFor) {
  EXPECT_EQ(line_name("", ""), "");
  EXPECT_EQ(line_name("default", ""), "");
  EXPECT_EQ(line_name("q", ""), "q");
  EXPECT_EQ(line_name("", "gpu"), "default|gpu");
  EXPECT_EQ(line_name("q", "a b"), "q|a b");
  EXPECT_EQ(queue_of_line("default|gpu"), "");
  EXPECT_EQ(queue_of_line("q|a b"), "q");
  EXPECT_EQ(queue_of_line(""), "");
  EXPECT_EQ(labels_of_line("q|a b"), "a b");
  EXPECT_EQ(labels_of_line("q"), "");
}

}  // namespace
}  // namespace treadle::core
