#include "core/death_words.h"

#include <gtest/gtest.h>

namespace treadle::core {
namespace {

TEST(DeathWords, NameTheSignalOrTheExitCode) {
  event::ExecutorDied died;
  EXPECT_EQ(death_words(died), "the executor vanished while the function ran");
  died.exited = true;
  died.wait_status = 11;
  EXPECT_EQ(death_words(died), "the executor was ended by SIGSEGV while the function ran");
  died.wait_status = 7 << 8;
  died.gave_up = "its socket is gone";
  EXPECT_EQ(death_words(died),
            "the executor exited with code 7 while the function ran; its last words: its socket is gone");
  EXPECT_EQ(signal_name(9), "SIGKILL");
  EXPECT_EQ(signal_name(40), "signal 40");
}

TEST(DeathWords, TellWhoseDoingItWas) {
  const Measures segv{.signal = 11, .peak_rss = 1}, killed{.signal = 9, .peak_rss = 1}, left{.peak_rss = 1}, vanished;
  EXPECT_EQ(ended_by(ErrorKind::Crashed, segv), "user_code");
  EXPECT_EQ(ended_by(ErrorKind::Crashed, left), "user_code") << "it exited with code 0";
  EXPECT_EQ(ended_by(ErrorKind::Crashed, killed), "host");
  EXPECT_EQ(ended_by(ErrorKind::Crashed, vanished), "host");
  EXPECT_EQ(ended_by(ErrorKind::PoisonTask, killed), "user_code") << "twice, and alone: that is no accident";
  EXPECT_EQ(ended_by(ErrorKind::FunctionFailed, {}), "user_code");
  EXPECT_EQ(ended_by(ErrorKind::Timeout, killed), "time_limit");
  EXPECT_EQ(ended_by(ErrorKind::Cancelled, killed), "cancel");
  EXPECT_EQ(ended_by(ErrorKind::OutOfMemory, killed), "memory");
  EXPECT_EQ(ended_by(ErrorKind::LimitExceeded, {}), "limit");
  EXPECT_EQ(ended_by(ErrorKind::WorkerLost, {}), "host");
  EXPECT_EQ(ended_by(ErrorKind::PythonMismatch, {}), "service");
  EXPECT_EQ(ended_by(ErrorKind::Expired, {}), "service");
}

}  // namespace
}  // namespace treadle::core
