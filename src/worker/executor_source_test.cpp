#include "worker/executor_source.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

namespace treadle::worker {
namespace {

std::size_t count(std::string_view text, std::string_view what) {
  std::size_t n = 0;
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string_view::npos; at += what.size()) ++n;
  return n;
}

TEST(ExecutorSource, IsWhatTheFilesSayNow) {
  ::setenv("TREADLE_EXECUTOR", TREADLE_EXECUTOR_FOLDER, 1);
  const auto files = executor_source();
  ::unsetenv("TREADLE_EXECUTOR");
  ASSERT_TRUE(files) << files.error().message;
  EXPECT_EQ(embedded_executor_source(), *files) << "a stale executor is embedded";
  EXPECT_EQ(executor_source().value(), *files);
}

TEST(ExecutorSource, HasAllItsPartsInTheirOrder) {
  const std::string_view source = embedded_executor_source();
  const std::size_t parts = count(source, "# Part ");
  ASSERT_GT(parts, 0u);
  std::size_t before = 0;
  for (std::size_t i = 1; i <= parts; ++i) {
    const std::string head = "# Part " + std::to_string(i) + " of " + std::to_string(parts);
    const std::size_t at = source.find(head);
    ASSERT_NE(at, std::string_view::npos) << head;
    EXPECT_GE(at, before);
    before = at;
  }
}

TEST(ExecutorSource, CanBeReplacedWhileOneWorksOnIt) {
  ::setenv("TREADLE_EXECUTOR", TREADLE_EXECUTOR_FOLDER "/executor.py", 1);
  EXPECT_EQ(count(executor_source().value(), "\nclass "), 1u);
  ::setenv("TREADLE_EXECUTOR", "/no/such/file", 1);
  EXPECT_EQ(executor_source().error().code, Code::Invalid);
  ::unsetenv("TREADLE_EXECUTOR");
}

}  // namespace
}  // namespace treadle::worker
