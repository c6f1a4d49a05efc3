// The ledger's record of one task that is not terminal: 48 bytes, in chunks, so that growing never copies.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/ids.h"
#include "core/model.h"

namespace treadle::store {

enum class Where : std::uint8_t {
  Nowhere,
  Fifo,      // a node of its ready queue's line names it, though it may have been taken or have ended since
  Returned,  // in its ready queue, among those that came back
  Delayed,   // not due yet
  Parked,    // others with its concurrency key are held, as many as may be
};

struct Entry {
  static constexpr std::uint8_t kPending = 1;  // its submit is not durable yet
  static constexpr std::uint8_t kEnding = 2;   // decided to be terminal, and that is not durable yet
  static constexpr std::uint8_t kCancelRequested = 4;
  static constexpr std::uint8_t kSuspect = 8;
  static constexpr std::uint8_t kRecorded = 16;  // the table knows of its attempt: going back needs a row
  static constexpr std::uint8_t kDetails = 32;   // Ledger::details_ has more about it
  static constexpr std::uint8_t kGone = 64;      // only a dead node of a line still names the slot

  TaskId id;
  std::uint64_t seq = 0;
  std::uint32_t profile = 0;
  std::uint32_t args_bytes = 0;
  std::uint32_t expires_s = 0;  // since the birth of the ledger
  std::uint32_t attempt = 0;
  std::uint16_t losses = 0;
  std::uint16_t retries_used = 0;
  std::uint8_t kills = 0;
  core::TaskState state = core::TaskState::Queued;  // Queued, Claimed or Running
  Where where = Where::Nowhere;
  std::uint8_t flags = 0;

  bool is(std::uint8_t flag) const { return (flags & flag) != 0; }
  void set(std::uint8_t flag) { flags |= flag; }
  void clear(std::uint8_t flag) { flags &= static_cast<std::uint8_t>(~flag); }
  bool claimable() const { return state == core::TaskState::Queued && !is(kPending | kEnding | kGone); }
  bool held() const { return state != core::TaskState::Queued && !is(kEnding); }
};
static_assert(sizeof(Entry) == 48);

class Entries {
 public:
  Entry& operator[](std::uint32_t slot) { return chunks_[slot / kChunk][slot % kChunk]; }
  const Entry& operator[](std::uint32_t slot) const { return chunks_[slot / kChunk][slot % kChunk]; }

  std::uint32_t take() {
    if (!free_.empty()) {
      const std::uint32_t slot = free_.back();
      free_.pop_back();
      return slot;
    }
    if (used_ % kChunk == 0) chunks_.push_back(std::make_unique<Entry[]>(kChunk));
    return used_++;
  }
  void give_back(std::uint32_t slot) {
    (*this)[slot] = {};
    free_.push_back(slot);
  }
  std::uint32_t slots() const { return used_; }  // all that were ever used at once; free ones have a nil id

 private:
  static constexpr std::uint32_t kChunk = 4096;
  std::vector<std::unique_ptr<Entry[]>> chunks_;
  std::vector<std::uint32_t> free_;
  std::uint32_t used_ = 0;
};

}  // namespace treadle::store
