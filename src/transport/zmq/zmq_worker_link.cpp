#include "transport/zmq/zmq_worker_link.h"

#include <algorithm>

#include "core/limits.h"

namespace treadle::transport {
namespace {

constexpr std::size_t kReceivedPerTurn = 1000;
constexpr std::size_t kMaxWaiting = 1000;  // messages; older ones are dropped: what matters in them is repeated

PullConfig pull_config(core::Mode mode, std::uint64_t max_blob) {
  PullConfig config;
  config.max_blob = max_blob;
  if (core::speaks_only_when_asked(mode)) config.window = 1;
  return config;
}

}  // namespace

ZmqWorkerLink::ZmqWorkerLink(ZmqContext& context, core::Mode mode, std::uint64_t max_blob)
    : mode_(mode),
      socket_(context, mode == core::Mode::Pull ? ZmqSocket::Kind::Request : ZmqSocket::Kind::Dealer),
      pull_(pull_config(mode, max_blob)) {
  if (mode == core::Mode::Push) envelope_.emplace_back();  // a REQ socket puts its own empty frame
}

Result<std::unique_ptr<ZmqWorkerLink>> ZmqWorkerLink::connect(ZmqContext& context, core::Mode mode,
                                                              const std::string& endpoint, std::uint64_t max_blob) {
  std::unique_ptr<ZmqWorkerLink> link(new ZmqWorkerLink(context, mode, max_blob));
  if (auto connected = link->socket_.connect(endpoint); !connected) return connected.error();
  return link;
}

// ---- sent ----

void ZmqWorkerLink::send(core::WorkerMessage message) {
  self_ = {message.worker, message.boot};
  std::optional<Duration> wait;
  if (mode_ == core::Mode::Pull) wait = core::limits::kMaxPark;
  Offers offers;
  Frames frames = encode(message, &offers, wait);
  if (!offers.empty()) stock_.keep(message.seq, std::move(offers));
  push(std::move(frames));
  if (!blob_request_.empty()) push(blob_request_);  // superseded by what was just sent
}

void ZmqWorkerLink::push(Frames frames) {
  waiting_.push_back(std::move(frames));
  if (waiting_.size() > kMaxWaiting) waiting_.pop_front();
  send_waiting();
}

void ZmqWorkerLink::send_waiting() {
  while (!waiting_.empty() && socket_.send(envelope_, waiting_.front()) == ZmqSocket::Sent::Yes) waiting_.pop_front();
}

// ---- received ----

std::vector<core::DispatcherMessage> ZmqWorkerLink::receive(Instant now) {
  for (std::size_t i = 0; i < kReceivedPerTurn; ++i) {
    auto received = socket_.receive();
    if (!received) break;
    auto message = std::span<const Buffer>(received->frames);
    if (mode_ == core::Mode::Push && !message.empty() && message.front().empty()) message = message.subspan(1);
    take(now, message);
  }
  go_on_pulling(now);
  send_waiting();
  std::vector<core::DispatcherMessage> inbox;
  for (auto& decoded : pull_.ready()) inbox.push_back(std::move(decoded.message));
  return inbox;
}

Instant ZmqWorkerLink::next_deadline() const {
  // Not while something waits to be sent: to look would eat the edge of the room that it waits for.
  return waiting_.empty() && socket_.readable() ? kAtOnce : pull_.next_deadline();
}

void ZmqWorkerLink::take(Instant now, std::span<const Buffer> message) {
  const std::string_view kind = message.empty() ? std::string_view() : message.front().view();
  if (auto error = error_text(message)) {
    refusal_ = std::move(*error);
  } else if (kind == type::kBlobRequest) {
    take_blob_request(message);
  } else if (kind == type::kBlob) {
    auto part = decode_blob(message);
    if (!part) return misunderstood(part.error());
    blob_request_.clear();
    pull_.take(now, std::move(*part));
  } else {
    auto decoded = decode_dispatcher(message);
    if (!decoded) return misunderstood(decoded.error());
    stock_.acknowledged(decoded->message.ack);
    pull_.take(std::move(*decoded));
  }
}

void ZmqWorkerLink::take_blob_request(std::span<const Buffer> message) {
  const auto request = decode_blob_request(message);
  if (!request) return misunderstood(request.error());
  BlobPart part = stock_.answer(*request);
  part.from = self_;
  push(encode(part));
}

void ZmqWorkerLink::go_on_pulling(Instant now) {
  for (BlobRequest& request : pull_.requests(now)) {
    request.from = self_;
    Frames frames = encode(request);
    if (mode_ == core::Mode::Pull) blob_request_ = frames;
    push(std::move(frames));
  }
  if (pull_.held_back() == 0) blob_request_.clear();
}

void ZmqWorkerLink::misunderstood(const Error& error) {
  refusal_ = "the dispatcher sent something that this worker does not understand: " + error.message;
}

std::vector<WorkerLink::Change> ZmqWorkerLink::changes() {
  for (const auto& connection : socket_.connections()) {
    if (!connection.up) waiting_.clear();  // was meant for a registration that is over
    changes_.push_back(connection.up ? Change::Up : Change::Down);
  }
  return std::exchange(changes_, {});
}

}  // namespace treadle::transport
