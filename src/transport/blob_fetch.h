// Pulls blobs of one peer part by part: which parts to ask for, when to ask again, when to give up; each blob is
// checked against its SHA-256 while it arrives. Knows nothing of messages.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/buffer.h"
#include "base/sha256.h"
#include "base/time.h"
#include "transport/blob_frames.h"

namespace treadle::transport {

class BlobFetch {
 public:
  // A blob that has come, or will not come.
  struct Event {
    Digest blob;
    Buffer bytes;
    std::string lost;  // why, if it is
  };

  explicit BlobFetch(std::size_t window) : window_(window) {}

  // Blobs are fetched in the order in which they were wanted. Wanted again: nothing. False: with another size than now.
  bool want(const Digest& blob, std::uint64_t size);
  void forget(const Digest& blob);
  // True: something that was due.
  bool take(Instant now, BlobPart part, std::optional<Event>& event);
  // What to send; beyond kBlobRounds without progress, `event` says that the first blob is lost.
  std::vector<BlobRequest> requests(Instant now, std::optional<Event>& event);
  Instant next_deadline() const;

 private:
  struct Blob {
    Digest digest;
    std::uint64_t size = 0;
    std::string bytes;                      // the parts from the start on
    std::map<std::uint64_t, Buffer> early;  // those behind a gap
    std::map<std::uint64_t, bool> asked;    // offset of each part under way; false: to be sent (again)
    std::uint64_t next = 0;                 // offset that was never asked for
    Sha256 hash;
  };

  std::size_t under_way() const;
  void ask_again(Instant now, std::optional<Event>& event);
  void ask_for_more();
  std::optional<Event> complete(Blob& blob);

  std::size_t window_;
  std::list<Blob> blobs_;  // in the order of want(); those that were asked for (next > 0) come first
  std::unordered_map<Digest, std::list<Blob>::iterator> by_digest_;
  Instant quiet_since_;  // the last progress, or the last time that all was asked for again
  int rounds_ = 0;
};

}  // namespace treadle::transport
