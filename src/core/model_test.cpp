#include "core/model.h"

#include <gtest/gtest.h>

#include "core/payload.h"

namespace treadle::core {
namespace {

constexpr TaskState kAll[] = {TaskState::Queued, TaskState::Claimed, TaskState::Running, TaskState::Completed,
                              TaskState::Failed};

TEST(Model, TerminalStatesAreAbsorbing) {
  for (const TaskState from : {TaskState::Completed, TaskState::Failed}) {
    for (const TaskState to : kAll) EXPECT_FALSE(is_legal_move(from, to));
  }
}

TEST(Model, EveryLegalMoveIsOnTheMap) {
  int legal = 0;
  for (const TaskState from : kAll) {
    for (const TaskState to : kAll) legal += is_legal_move(from, to) ? 1 : 0;
  }
  EXPECT_EQ(legal, 2 + 4 + 3);
  EXPECT_FALSE(is_legal_move(TaskState::Queued, TaskState::Running));
  EXPECT_FALSE(is_legal_move(TaskState::Queued, TaskState::Completed));
  EXPECT_TRUE(is_legal_move(TaskState::Claimed, TaskState::Completed));
}

TEST(Model, OnlyFourWordsAreShown) {
  EXPECT_EQ(public_name(TaskState::Queued), "QUEUED");
  EXPECT_EQ(public_name(TaskState::Claimed), "QUEUED");
  EXPECT_EQ(public_name(TaskState::Running), "RUNNING");
  EXPECT_EQ(public_name(TaskState::Completed), "COMPLETED");
  EXPECT_EQ(public_name(TaskState::Failed), "FAILED");
}

TEST(Model, ErrorNamesReadBack) {
  for (int i = 0; i <= static_cast<int>(ErrorKind::ResultTooLarge); ++i) {
    const auto kind = static_cast<ErrorKind>(i);
    EXPECT_EQ(parse_error_kind(name_of(kind)), kind);
  }
  EXPECT_EQ(parse_error_kind("Sideways"), std::nullopt);
}

TEST(Model, PayloadFactsPackAndUnpack) {
  PayloadFacts facts{.serializer = Serializer::Source,
                     .names_main = true,
                     .names_dill = false,
                     .names_cloudpickle = true,
                     .protocol = 5,
                     .pythons = 1 << 5};
  EXPECT_EQ(PayloadFacts::unpack(facts.pack()), facts);
  EXPECT_EQ(PayloadFacts{}.pack(), 0u);
}

TEST(Model, PayloadFactsTellWhichPythonsFit) {
  EXPECT_TRUE(PayloadFacts{}.fits_python(8)) << "it does not tell";
  const PayloadFacts some{.pythons = 1 << (11 - kFirstPython) | 1 << (12 - kFirstPython)};
  EXPECT_FALSE(some.fits_python(10));
  EXPECT_TRUE(some.fits_python(11));
  EXPECT_TRUE(some.fits_python(12));
  EXPECT_FALSE(some.fits_python(13));
  EXPECT_FALSE(some.fits_python(7));
  const PayloadFacts later{.pythons = 1 << (kLastPython - kFirstPython)};
  EXPECT_FALSE(later.fits_python(14));
  EXPECT_TRUE(later.fits_python(15));
  EXPECT_TRUE(later.fits_python(99));
}

}  // namespace
}  // namespace treadle::core
