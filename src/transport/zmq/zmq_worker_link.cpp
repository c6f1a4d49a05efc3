#include "transport/zmq/zmq_worker_link.h"

#include <algorithm>
#include <utility>

#include "core/limits.h"

namespace treadle::transport {
namespace {

constexpr std::size_t kReceivedPerTurn = 1000;
constexpr std::size_t kMaxWaiting = 1000;  // messages; older ones are dropped: what matters in them is repeated

}  // namespace

ZmqWorkerLink::ZmqWorkerLink(ZmqContext& context, core::Mode mode)
    : mode_(mode), socket_(context, mode == core::Mode::Pull ? ZmqSocket::Kind::Request : ZmqSocket::Kind::Dealer) {
  if (mode == core::Mode::Push) envelope_.emplace_back();  // a REQ socket puts its own empty frame
}

Result<std::unique_ptr<ZmqWorkerLink>> ZmqWorkerLink::connect(ZmqContext& context, core::Mode mode,
                                                              const std::string& endpoint) {
  std::unique_ptr<ZmqWorkerLink> link(new ZmqWorkerLink(context, mode));
  if (auto connected = link->socket_.connect(endpoint); !connected) return connected.error();
  return link;
}

void ZmqWorkerLink::send(core::WorkerMessage message) {
  std::optional<Duration> wait;
  if (mode_ == core::Mode::Pull) wait = core::limits::kMaxPark;
  waiting_.push_back(encode(message, nullptr, wait));
  if (waiting_.size() > kMaxWaiting) waiting_.pop_front();
  send_waiting();
}

void ZmqWorkerLink::send_waiting() {
  while (!waiting_.empty() && socket_.send(envelope_, waiting_.front()) == ZmqSocket::Sent::Yes) waiting_.pop_front();
}

std::vector<core::DispatcherMessage> ZmqWorkerLink::receive() {
  for (std::size_t i = 0; i < kReceivedPerTurn; ++i) {
    auto received = socket_.receive();
    if (!received) break;
    take(received->frames);
  }
  send_waiting();
  return std::exchange(inbox_, {});
}

void ZmqWorkerLink::take(const Frames& frames) {
  auto message = std::span<const Buffer>(frames);
  if (mode_ == core::Mode::Push && !message.empty() && message.front().empty()) message = message.subspan(1);
  if (const auto error = error_text(message)) {
    refusal_ = *error;
    return;
  }
  auto decoded = decode_dispatcher(message);
  if (!decoded) {
    refusal_ = "the dispatcher sent something that this worker does not understand: " + decoded.error().message;
    return;
  }
  inbox_.push_back(std::move(decoded->message));
}

std::vector<WorkerLink::Change> ZmqWorkerLink::changes() {
  for (const auto& connection : socket_.connections()) {
    if (!connection.up) waiting_.clear();  // was meant for a registration that is over
    changes_.push_back(connection.up ? Change::Up : Change::Down);
  }
  return std::exchange(changes_, {});
}

}  // namespace treadle::transport
