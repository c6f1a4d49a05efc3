// Bytes on their way to one executor: small frames are gathered, large payloads stay where they are, and all of it
// leaves with as few system calls as the socket allows.
#pragma once

#include <deque>
#include <string>

#include "base/buffer.h"
#include "worker/fds.h"

namespace treadle::worker {

class SendQueue {
 public:
  // Where the next frame is written to its end, before `add_raw` or `add_memfd`.
  std::string& frame();
  // Raw bytes of the frame just written.
  void add_raw(const Buffer& raw);
  // Instead of raw bytes. `frame_bytes` is the length of the frame just written: the descriptor leaves with its first
  // byte.
  void add_memfd(UniqueFd fd, std::size_t frame_bytes);

  enum class Sent { All, Full, Broken };
  Sent send(int socket);
  bool empty() const { return items_.empty(); }

 private:
  struct Item {
    std::string bytes;
    Buffer raw;   // after bytes
    UniqueFd fd;  // before the first byte
    std::size_t size() const { return bytes.size() + raw.size(); }
  };
  std::deque<Item> items_;
  std::size_t sent_ = 0;  // bytes of the first item that have left
  void consume(std::size_t bytes);
};

}  // namespace treadle::worker
