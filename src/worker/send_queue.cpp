#include "worker/send_queue.h"

#include <algorithm>
#include <array>
#include <cerrno>

namespace treadle::worker {
namespace {
constexpr std::size_t kCopyUpTo =
    4096;  // smaller payloads are copied beside their frame: cheaper than a part of their own
constexpr std::size_t kGather = 64u << 10;  // bytes of gathered frames in one item
constexpr std::size_t kPartsAtOnce = 64;
}  // namespace

std::string& SendQueue::frame() {
  if (items_.empty() || !items_.back().raw.empty() || items_.back().bytes.size() > kGather) items_.emplace_back();
  return items_.back().bytes;
}

void SendQueue::add_raw(const Buffer& raw) {
  Item& item = items_.back();
  if (raw.size() <= kCopyUpTo) {
    item.bytes.append(raw.view());
  } else {
    item.raw = raw;
  }
}

void SendQueue::add_memfd(UniqueFd fd, std::size_t frame_bytes) {
  Item& last = items_.back();
  if (last.bytes.size() == frame_bytes && !last.fd) {
    last.fd = std::move(fd);
    return;
  }
  Item item;
  item.bytes = last.bytes.substr(last.bytes.size() - frame_bytes);
  last.bytes.resize(last.bytes.size() - frame_bytes);
  item.fd = std::move(fd);
  items_.push_back(std::move(item));
}

SendQueue::Sent SendQueue::send(int socket) {
  while (!items_.empty()) {
    std::array<iovec, kPartsAtOnce> parts;
    std::size_t count = 0;
    std::size_t skip = sent_;
    for (auto it = items_.begin(); it != items_.end() && count + 2 <= kPartsAtOnce; ++it) {
      if (it->fd && it != items_.begin()) break;  // its descriptor must leave with its own first byte
      for (const std::string_view part : {std::string_view(it->bytes), it->raw.view()}) {
        const std::size_t gone = std::min(skip, part.size());
        skip -= gone;
        if (gone < part.size()) parts[count++] = {const_cast<char*>(part.data() + gone), part.size() - gone};
      }
    }
    const int fd = items_.front().fd.get();
    const ssize_t n = send_with_fds(socket, {parts.data(), count}, {&fd, fd >= 0 ? 1u : 0u});
    if (n < 0) return errno == EAGAIN || errno == EWOULDBLOCK ? Sent::Full : Sent::Broken;
    items_.front().fd.reset();
    consume(static_cast<std::size_t>(n));
  }
  return Sent::All;
}

void SendQueue::consume(std::size_t bytes) {
  sent_ += bytes;
  while (!items_.empty() && sent_ >= items_.front().size()) {
    sent_ -= items_.front().size();
    items_.pop_front();
  }
}

}  // namespace treadle::worker
