#include "transport/blobs.h"

#include <algorithm>
#include <memory>
#include <set>

#include "base/assert.h"

namespace treadle::transport {

namespace limits = core::limits;

void BlobStock::keep(std::uint64_t seq, Offers offers) {
  TREADLE_ASSERT(seq > 0 && (order_.empty() || order_.back().first <= seq));
  for (Offer& offer : offers) {
    kept_[offer.digest] = {std::move(offer.bytes), seq};
    order_.emplace_back(seq, offer.digest);
  }
  while (kept_.size() > limits::kMaxStock) forget_oldest();
}

void BlobStock::forget_oldest() {
  const auto [seq, digest] = order_.front();
  order_.pop_front();
  if (const auto it = kept_.find(digest); it != kept_.end() && it->second.seq == seq) kept_.erase(it);
}

void BlobStock::acknowledged(std::uint64_t ack) {
  while (!order_.empty() && order_.front().first <= ack) forget_oldest();
}

BlobPart BlobStock::answer(const BlobRequest& request) const {
  const auto it = kept_.find(request.blob);
  if (it == kept_.end() || request.offset >= it->second.bytes.size())
    return {request.blob, request.offset, 0, {}, true, {}};
  const Buffer& whole = it->second.bytes;
  const std::string_view part = whole.view().substr(request.offset, limits::kBlobPart);
  // A part keeps the whole alive, which the stock does anyway.
  return {request.blob, request.offset, whole.size(), Buffer::from(std::make_shared<Buffer>(whole), part), false, {}};
}

template <class Decoded>
std::string BlobPull<Decoded>::objection(const Decoded& decoded) const {
  if (queue_.size() >= limits::kMaxHeldBack)
    return "already " + std::to_string(limits::kMaxHeldBack) + " messages wait for payloads of this peer";
  if (missing_ + decoded.refs.size() > limits::kMaxStock)
    return "more than " + std::to_string(limits::kMaxStock) + " payloads of this peer would be missing";
  std::uint64_t total = 0;
  for (const BlobRef& ref : decoded.refs) {
    if (ref.size > config_.max_blob) {
      return "it refers to " + std::to_string(ref.size) + " bytes; --max-payload allows " +
             std::to_string(config_.max_blob);
    }
    total += ref.size;
  }
  if (total <= limits::kMaxPulled) return {};
  return "it refers to " + std::to_string(total) + " bytes in all; " + std::to_string(limits::kMaxPulled) +
         " are the limit";
}

template <class Decoded>
void BlobPull<Decoded>::take(Decoded decoded) {
  std::string why = objection(decoded);
  for (const BlobRef& ref : decoded.refs) {
    if (why.empty() && !fetch_.want(ref.digest, ref.size)) why = "it names one payload with two sizes";
  }
  if (why.empty()) {
    missing_ += decoded.refs.size();
    queue_.push_back(std::move(decoded));
  } else {
    notes_.push_back("blob.dropped seq=" + std::to_string(decoded.message.seq) + " why=\"" + why + '"');
    forget_unneeded(decoded.refs);
  }
}

template <class Decoded>
std::vector<Decoded> BlobPull<Decoded>::ready() {
  std::vector<Decoded> out;
  for (; !queue_.empty() && queue_.front().refs.empty(); queue_.pop_front()) out.push_back(std::move(queue_.front()));
  return out;
}

template <class Decoded>
bool BlobPull<Decoded>::take(Instant now, BlobPart part) {
  std::optional<BlobFetch::Event> event;
  const bool progress = fetch_.take(now, std::move(part), event);
  if (event) settle(*event);
  return progress;
}

template <class Decoded>
std::vector<BlobRequest> BlobPull<Decoded>::requests(Instant now) {
  std::optional<BlobFetch::Event> event;
  auto requests = fetch_.requests(now, event);
  if (event) settle(*event);
  return requests;
}

template <class Decoded>
void BlobPull<Decoded>::settle(const BlobFetch::Event& event) {
  if (!event.lost.empty()) return drop_messages_of(event.blob, event.lost);
  for (Decoded& decoded : queue_) {
    missing_ -= std::erase_if(decoded.refs, [&](const BlobRef& ref) {
      const bool here = ref.digest == event.blob;
      if (here) fill(decoded.message, ref.slot, event.bytes);
      return here;
    });
  }
}

template <class Decoded>
void BlobPull<Decoded>::drop_messages_of(const Digest& blob, const std::string& why) {
  std::vector<BlobRef> others;
  std::erase_if(queue_, [&](const Decoded& decoded) {
    const auto names = [&](const BlobRef& ref) { return ref.digest == blob; };
    if (std::none_of(decoded.refs.begin(), decoded.refs.end(), names)) return false;
    notes_.push_back("blob.dropped seq=" + std::to_string(decoded.message.seq) + " blob=" + to_string(blob) +
                     " why=\"" + why + '"');
    missing_ -= decoded.refs.size();
    others.insert(others.end(), decoded.refs.begin(), decoded.refs.end());
    return true;
  });
  forget_unneeded(others);
}

template <class Decoded>
void BlobPull<Decoded>::forget_unneeded(const std::vector<BlobRef>& refs) {
  std::set<Digest> needed;
  for (const Decoded& decoded : queue_)
    for (const BlobRef& ref : decoded.refs) needed.insert(ref.digest);
  for (const BlobRef& ref : refs)
    if (!needed.contains(ref.digest)) fetch_.forget(ref.digest);
}

template class BlobPull<DecodedWorker>;
template class BlobPull<DecodedDispatcher>;

}  // namespace treadle::transport
