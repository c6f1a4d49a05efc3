// Whose output is it: cuts what comes from an executor's stdout and stderr at the marks that the executor put in, and
// keeps the end of it for each task. No I/O: the pool feeds it what it has read.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

#include "core/executor_port.h"

namespace treadle::worker {

inline constexpr std::size_t kMarkBytes = 16;
using Mark = std::array<char, kMarkBytes>;  // random except its first byte, one per executor

// Valid UTF-8 for people: bytes that are not become U+FFFD, and a character cut at the front is dropped.
// At most `most` bytes of the end are kept.
std::string printable_tail(std::string_view bytes, std::size_t most);
// Valid UTF-8 of as many bytes, so that places in it can be counted: what is none becomes '?'.
std::string same_length_text(std::string_view bytes);
// Without a last character whose end may still come.
std::string_view whole_characters(std::string_view bytes);

class OutputCutter {
 public:
  explicit OutputCutter(const Mark& mark) : mark_(mark) {}

  // Bytes as they came from pipe 0 (stdout) or 1 (stderr). `idle`: no task was unanswered when they came, so they are
  // the leftovers of something that a former task started.
  void add(int pipe, std::string_view bytes, bool idle);

  struct Taken {
    std::uint64_t bytes = 0;  // that it wrote, kept or not
    std::string text;         // printable, at most limits::kOutputKept bytes, both pipes in the order of arrival
    bool unmarked = false;    // some of it was announced by no mark
    bool mixed = false;       // some of it may come from a former task
    core::OutputPart unread;  // from `read` on
  };
  // The output of task `seq`, whose result has come: all that it wrote has been added before. `last`: no other task is
  // unanswered, so what no mark claims is its too. `side_by_side`: tasks with lower numbers run on; else what they left
  // is this one's, mixed.
  // `read`: how much of it was read before, if any was.
  Taken take(std::uint64_t seq, bool last, bool side_by_side = false, const std::uint64_t* read = nullptr);
  // All that is left, for the task that was running when the executor died.
  Taken take_rest(const std::uint64_t* read = nullptr);
  // What task `seq`, which runs, has written so far, from the byte `from` on.
  core::OutputPart read(std::uint64_t seq, std::uint64_t from, bool side_by_side) const;

  bool empty() const { return chunks_.empty(); }
  // What came and was not taken yet, kept or not.
  std::uint64_t pending_bytes() const;

 private:
  struct Chunk {
    int pipe = 0;
    std::uint64_t seq = 0;  // 0: no end mark has claimed it yet
    bool leftover = false;
    std::uint64_t bytes = 0;  // that came; the end of it is kept
    std::string text;
  };
  void drop_oldest();
  void keep(int pipe, std::string_view text, bool idle);
  void end_of(int pipe, std::uint64_t seq);
  void start_of(int pipe);

  Mark mark_;
  std::array<std::string, 2> unfinished_;  // per pipe: the end of what was added, if a mark may begin in it
  std::deque<Chunk> chunks_;               // in order of arrival
  std::size_t kept_bytes_ = 0;             // of all chunks_
};

}  // namespace treadle::worker
