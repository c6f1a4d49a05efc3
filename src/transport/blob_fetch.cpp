#include "transport/blob_fetch.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "core/limits.h"

namespace treadle::transport {

namespace limits = core::limits;

bool BlobFetch::want(const Digest& blob, std::uint64_t size) {
  if (const auto known = by_digest_.find(blob); known != by_digest_.end()) return known->second->size == size;
  if (blobs_.empty()) rounds_ = 0;
  Blob& added = blobs_.emplace_back();
  added.digest = blob;
  added.size = size;
  by_digest_.emplace(blob, std::prev(blobs_.end()));
  return true;
}

void BlobFetch::forget(const Digest& blob) {
  const auto known = by_digest_.find(blob);
  if (known == by_digest_.end()) return;
  blobs_.erase(known->second);
  by_digest_.erase(known);
}

std::size_t BlobFetch::under_way() const {
  std::size_t parts = 0;
  for (auto blob = blobs_.begin(); blob != blobs_.end() && blob->next > 0; ++blob) parts += blob->asked.size();
  return parts;
}

void BlobFetch::ask_for_more() {
  std::size_t parts = under_way();
  for (Blob& blob : blobs_) {
    if (parts >= window_) return;
    if (blob.next == 0) blob.bytes.reserve(blob.size);
    for (; parts < window_ && blob.next < blob.size; blob.next += limits::kBlobPart, ++parts)
      blob.asked.emplace(blob.next, false);
  }
}

void BlobFetch::ask_again(Instant now, std::optional<Event>& event) {
  quiet_since_ = now;
  if (++rounds_ >= limits::kBlobRounds) {
    rounds_ = 0;
    event = Event{blobs_.front().digest, {}, "no part of it came"};
    forget(event->blob);
  }
  for (auto blob = blobs_.begin(); blob != blobs_.end() && blob->next > 0; ++blob)
    for (auto& [offset, sent] : blob->asked) sent = false;
}

std::vector<BlobRequest> BlobFetch::requests(Instant now, std::optional<Event>& event) {
  if (under_way() == 0) {
    quiet_since_ = now;
  } else if (now >= quiet_since_ + limits::kBlobPatience) {
    ask_again(now, event);
  }
  ask_for_more();
  std::vector<BlobRequest> out;
  for (auto blob = blobs_.begin(); blob != blobs_.end() && blob->next > 0; ++blob) {
    for (auto& [offset, sent] : blob->asked)
      if (!std::exchange(sent, true)) out.push_back({blob->digest, offset, {}});
  }
  return out;
}

Instant BlobFetch::next_deadline() const {
  return blobs_.empty() ? Instant::never() : quiet_since_ + limits::kBlobPatience;
}

bool BlobFetch::take(Instant now, BlobPart part, std::optional<Event>& event) {
  const auto known = by_digest_.find(part.blob);
  if (known == by_digest_.end()) return false;
  Blob& blob = *known->second;
  if (!part.gone && !blob.asked.contains(part.offset)) return false;
  const std::uint64_t due = part.gone ? 0 : std::min<std::uint64_t>(limits::kBlobPart, blob.size - part.offset);
  if (part.gone || part.size != blob.size || part.bytes.size() != due) {
    event = Event{part.blob, {}, part.gone ? "its sender has it no more" : "a part has another size than it must have"};
    forget(part.blob);
    return false;
  }
  quiet_since_ = now;
  rounds_ = 0;
  blob.asked.erase(part.offset);
  blob.early.emplace(part.offset, std::move(part.bytes));
  event = complete(blob);
  return true;
}

// Appends what has no gap before it any more; the event if that was all.
std::optional<BlobFetch::Event> BlobFetch::complete(Blob& blob) {
  while (!blob.early.empty() && blob.early.begin()->first == blob.bytes.size()) {
    const Buffer part = std::move(blob.early.begin()->second);
    blob.early.erase(blob.early.begin());
    blob.hash.update(part.view());
    blob.bytes += part.view();
  }
  if (blob.bytes.size() < blob.size) return std::nullopt;
  Event event{blob.digest, {}, {}};
  if (blob.hash.finish() == blob.digest) {
    event.bytes = Buffer::of(std::move(blob.bytes));
  } else {
    event.lost = "its SHA-256 is not the promised one";
  }
  forget(event.blob);
  return event;
}

}  // namespace treadle::transport
