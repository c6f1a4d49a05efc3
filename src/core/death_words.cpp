#include "core/death_words.h"

#include <array>
#include <string_view>

namespace treadle::core {
namespace {

// Linux numbers (asm-generic); the core includes no system header.
constexpr std::array<std::string_view, 32> kSignals = {
    "",          "SIGHUP",  "SIGINT",    "SIGQUIT", "SIGILL",   "SIGTRAP", "SIGABRT", "SIGBUS",
    "SIGFPE",    "SIGKILL", "SIGUSR1",   "SIGSEGV", "SIGUSR2",  "SIGPIPE", "SIGALRM", "SIGTERM",
    "SIGSTKFLT", "SIGCHLD", "SIGCONT",   "SIGSTOP", "SIGTSTP",  "SIGTTIN", "SIGTTOU", "SIGURG",
    "SIGXCPU",   "SIGXFSZ", "SIGVTALRM", "SIGPROF", "SIGWINCH", "SIGIO",   "SIGPWR",  "SIGSYS"};
constexpr int kSigkill = 9;

// The layout of a wait status is part of the Linux ABI.
int signal_of(int wait_status) { return wait_status & 127; }
int exit_code_of(int wait_status) { return wait_status >> 8 & 255; }

}  // namespace

std::string signal_name(int signal) {
  if (signal > 0 && static_cast<std::size_t>(signal) < kSignals.size())
    return std::string(kSignals[static_cast<std::size_t>(signal)]);
  return "signal " + std::to_string(signal);
}

std::string death_words(const event::ExecutorDied& died) {
  if (!died.protocol_error.empty())
    return "the executor broke its protocol while the function ran (" + died.protocol_error + ") and was ended";
  std::string words;
  if (!died.exited) {
    words = "the executor vanished while the function ran";
  } else if (const int signal = signal_of(died.wait_status)) {
    words = "the executor was ended by " + signal_name(signal) + " while the function ran";
    if (signal == kSigkill) words += " (somebody killed it, or the machine was out of memory)";
  } else {
    words =
        "the executor exited with code " + std::to_string(exit_code_of(died.wait_status)) + " while the function ran";
  }
  if (!died.gave_up.empty()) words += "; its last words: " + died.gave_up;
  return words;
}

std::string_view ended_by(ErrorKind kind, const Measures& measures) {
  switch (kind) {
    case ErrorKind::Timeout: return "time_limit";
    case ErrorKind::Cancelled: return "cancel";
    case ErrorKind::OutOfMemory: return "memory";
    case ErrorKind::LimitExceeded: return "limit";
    case ErrorKind::WorkerLost: return "host";
    case ErrorKind::Crashed:  // a SIGKILL of its own looks the same, but is rare
      return measures.signal == kSigkill || (measures.signal == 0 && measures.exit_code == 0 && measures.peak_rss == 0)
                 ? "host"
                 : "user_code";
    case ErrorKind::FunctionFailed:
    case ErrorKind::PoisonTask: return "user_code";
    default: return "service";
  }
}

void fill_measures(const event::ExecutorDied& died, Measures& measures) {
  measures.peak_rss = died.peak_rss;
  measures.cpu_us = died.cpu_us;
  if (!died.exited) return;
  measures.signal = signal_of(died.wait_status);
  measures.exit_code = exit_code_of(died.wait_status);
}

}  // namespace treadle::core
