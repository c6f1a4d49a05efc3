// Both ends on real sockets, in one thread; a helper waits on their descriptors as the product's loop does.
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <string>
#include <thread>

#include "core/limits.h"
#include "transport/zmq/zmq_dispatcher_link.h"
#include "transport/zmq/zmq_worker_link.h"

namespace treadle::transport {
namespace {

using core::DispatcherMessage;
using core::Mode;
using core::WorkerMessage;

constexpr auto kPatience = std::chrono::seconds(10);
bool out_of_patience(std::chrono::steady_clock::time_point since) {
  return std::chrono::steady_clock::now() - since > kPatience;
}
constexpr std::uint64_t kMaxBlob = 64u << 20;
Instant now() { return {std::chrono::steady_clock::now().time_since_epoch().count()}; }
const WorkerId kWorker{Uuid{3, 4}};

Frames text_frames(std::initializer_list<std::string> parts) {
  Frames frames;
  for (const auto& part : parts) frames.push_back(Buffer::of(part));
  return frames;
}

class Wire : public ::testing::Test {
 protected:
  void open(Mode mode) {
    auto listening = ZmqDispatcherLink::listen(context_, mode, "tcp://127.0.0.1:*", max_blob_);
    ASSERT_TRUE(listening) << listening.error().message;
    dispatcher_ = std::move(*listening);
    endpoint_ = dispatcher_->socket().endpoint();
    worker_ = connect(mode);
  }
  std::unique_ptr<ZmqWorkerLink> connect(Mode mode) {
    auto connected = ZmqWorkerLink::connect(context_, mode, endpoint_, kMaxBlob);
    EXPECT_TRUE(connected);
    return std::move(*connected);
  }

  // Turns both ends whenever a descriptor says so, until `done`; false: nothing more came.
  bool until(const std::function<bool()>& done) {
    for (const auto begun = std::chrono::steady_clock::now(); !done();) {
      if (out_of_patience(begun)) return false;
      std::vector<pollfd> fds = {{dispatcher_->socket().wake_fd(), POLLIN, 0},
                                 {worker_->socket().wake_fd(), POLLIN, 0},
                                 {worker_->socket().monitor_fd(), POLLIN, 0}};
      poll(fds.data(), fds.size(), 10);
      turn();
    }
    return true;
  }
  void turn() {
    for (bool again = true; again;) {
      again = false;
      for (auto& m : dispatcher_->receive(now())) up_.push_back(std::move(m)), again = true;
      for (auto& m : worker_->receive(now())) down_.push_back(std::move(m)), again = true;
    }
    for (const WorkerId lost : dispatcher_->unroutable()) unroutable_.push_back(lost);
    for (const auto change : worker_->changes()) changes_.push_back(change);
  }
  bool connected() {
    return until([this] { return std::ranges::count(changes_, WorkerLink::Change::Up) > 0; });
  }

  WorkerMessage message(std::uint64_t seq) {
    WorkerMessage m;
    m.worker = kWorker;
    m.boot = 1;
    m.session = SessionId{Uuid{1, 1}};
    m.seq = seq;
    return m;
  }
  DispatcherMessage answer(std::uint64_t seq) {
    DispatcherMessage m;
    m.session = SessionId{Uuid{1, 1}};
    m.seq = seq;
    return m;
  }

  std::uint64_t max_blob_ = kMaxBlob;  // of the dispatcher
  ZmqContext context_;
  std::unique_ptr<ZmqDispatcherLink> dispatcher_;
  std::unique_ptr<ZmqWorkerLink> worker_;
  std::string endpoint_;
  std::vector<WorkerMessage> up_;
  std::vector<DispatcherMessage> down_;
  std::vector<WorkerId> unroutable_;
  std::vector<WorkerLink::Change> changes_;
};

TEST_F(Wire, PushCarriesMessagesBothWays) {
  open(Mode::Push);
  worker_->send(message(1));  // before there is a connection: it waits
  ASSERT_TRUE(until([&] { return up_.size() == 1; }));
  EXPECT_EQ(up_[0].worker, kWorker);
  EXPECT_EQ(up_[0].seq, 1u);
  for (std::uint64_t seq = 1; seq <= 3; ++seq) dispatcher_->send(kWorker, answer(seq));
  ASSERT_TRUE(until([&] { return down_.size() == 3; }));
  EXPECT_EQ(down_[2].seq, 3u);
}

// The descriptor tells of commands, not of messages: whoever sends between two looks at it must not miss any.
TEST_F(Wire, FloodInBothDirectionsLosesNothing) {
  open(Mode::Push);
  worker_->send(message(1));
  ASSERT_TRUE(until([&] { return up_.size() == 1; }));
  constexpr std::uint64_t kMessages = 20'000;
  std::uint64_t worker_sent = 1, dispatcher_sent = 0;
  ASSERT_TRUE(until([&] {
    for (int i = 0; i < 40 && worker_sent < kMessages; ++i) worker_->send(message(++worker_sent));
    for (int i = 0; i < 40 && dispatcher_sent < kMessages; ++i) dispatcher_->send(kWorker, answer(++dispatcher_sent));
    return up_.size() == kMessages && down_.size() == kMessages;
  })) << up_.size()
      << " " << down_.size();
  for (std::uint64_t i = 0; i < kMessages; ++i) {
    ASSERT_EQ(up_[i].seq, i + 1);
    ASSERT_EQ(down_[i].seq, i + 1);
  }
}

// As a send between two looks does: the descriptor says nothing any more, and the loop must not sleep all the same.
TEST_F(Wire, MessageWhoseEdgeWasEatenIsDueAtOnce) {
  open(Mode::Push);
  worker_->send(message(1));
  ASSERT_TRUE(until([&] { return up_.size() == 1; }));
  EXPECT_EQ(dispatcher_->next_deadline(), Instant::never());
  EXPECT_EQ(worker_->next_deadline(), Instant::never());
  const auto silent = [](const ZmqSocket& socket) {
    pollfd fd{socket.wake_fd(), POLLIN, 0};
    return poll(&fd, 1, 0) == 0;
  };
  const auto due = [](const auto& link) {
    const auto begun = std::chrono::steady_clock::now();
    while (link.next_deadline() != kAtOnce && !out_of_patience(begun)) usleep(1000);
    return link.next_deadline() == kAtOnce;
  };
  worker_->send(message(2));
  ASSERT_TRUE(due(*dispatcher_));
  EXPECT_TRUE(silent(dispatcher_->socket())) << "the look itself took the command";
  EXPECT_EQ(dispatcher_->receive(now()).size(), 1u);
  EXPECT_EQ(dispatcher_->next_deadline(), Instant::never());
  dispatcher_->send(kWorker, answer(1));
  ASSERT_TRUE(due(*worker_));
  EXPECT_TRUE(silent(worker_->socket()));
  EXPECT_EQ(worker_->receive(now()).size(), 1u);
  EXPECT_EQ(worker_->next_deadline(), Instant::never());
}

TEST_F(Wire, PullAnswersTheNewestRequestOnce) {
  open(Mode::Pull);
  worker_->send(message(1));
  worker_->send(message(2));
  ASSERT_TRUE(until([&] { return up_.size() == 2; }));
  EXPECT_TRUE(up_[1].asks);
  EXPECT_GT(up_[1].wait, Duration{0});
  dispatcher_->send(kWorker, answer(1));
  dispatcher_->send(kWorker, answer(2));  // nothing is asked any more
  ASSERT_TRUE(until([&] { return down_.size() == 1; }));
  EXPECT_EQ(down_[0].seq, 1u);
  worker_->send(message(3));
  ASSERT_TRUE(until([&] { return up_.size() == 3; }));
  dispatcher_->send(kWorker, answer(3));
  ASSERT_TRUE(until([&] { return down_.size() == 2; }));
  EXPECT_EQ(down_[1].seq, 3u);
}

TEST_F(Wire, PeerThatIsGoneIsUnroutable) {
  open(Mode::Push);
  worker_->send(message(1));
  ASSERT_TRUE(until([&] { return up_.size() == 1; }));
  worker_ = connect(Mode::Push);  // the first one is closed by this
  ASSERT_TRUE(until([&] {
    dispatcher_->send(kWorker, answer(1));
    return !unroutable_.empty();
  }));
  EXPECT_EQ(unroutable_[0], kWorker);
  EXPECT_GT(dispatcher_->counters().unroutable, 0u);
}

TEST_F(Wire, WorkerSeesItsConnectionComeAndGo) {
  open(Mode::Push);
  ASSERT_TRUE(connected());
  EXPECT_EQ(changes_.front(), WorkerLink::Change::Down);
  dispatcher_.reset();
  changes_.clear();
  for (const auto begun = std::chrono::steady_clock::now(); changes_.empty() && !out_of_patience(begun);) {
    pollfd fd{worker_->socket().monitor_fd(), POLLIN, 0};
    poll(&fd, 1, 10);
    worker_->receive(now());
    changes_ = worker_->changes();
  }
  ASSERT_FALSE(changes_.empty());
  EXPECT_EQ(changes_.front(), WorkerLink::Change::Down);
}

TEST_F(Wire, WorkerOfTheOtherModeIsToldSo) {
  open(Mode::Push);
  auto puller = connect(Mode::Pull);
  puller->send(message(1));
  ASSERT_TRUE(until([&] {
    puller->receive(now());
    return !puller->refusal().empty();
  }));
  EXPECT_NE(puller->refusal().find("treadle worker push"), std::string::npos) << puller->refusal();
  EXPECT_EQ(dispatcher_->counters().malformed, 1u);
  EXPECT_TRUE(up_.empty());
}

std::string big_text(std::size_t size) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i * 2654435761u >> 13);
  return text;
}

// Both ways, with a small message behind the large one: order is kept.
class Blobs : public Wire, public ::testing::WithParamInterface<Mode> {};
INSTANTIATE_TEST_SUITE_P(Modes, Blobs, ::testing::Values(Mode::Push, Mode::Pull),
                         [](const auto& info) { return std::string(core::name_of(info.param)); });

TEST_P(Blobs, ArgumentsTooLargeForAMessageArriveWhole) {
  open(GetParam());
  worker_->send(message(1));
  ASSERT_TRUE(until([&] { return up_.size() == 1; }));
  const std::string text = big_text(9'000'001);
  DispatcherMessage m = answer(1);
  m.attempts.resize(1);
  m.attempts[0].task = TaskId{Uuid{5, 6}};
  m.attempts[0].token = Token{9};
  m.attempts[0].args.bytes = Buffer::of(text);
  dispatcher_->send(kWorker, m);
  ASSERT_TRUE(until([&] { return down_.size() == 1; }));
  ASSERT_EQ(down_[0].attempts.size(), 1u);
  EXPECT_TRUE(down_[0].attempts[0].args.bytes.view() == text);
  EXPECT_GE(dispatcher_->counters().blob_parts, text.size() / (256u << 10));
}

TEST_P(Blobs, ResultsTooLargeForAMessageArriveWholeThoughTheWorkerGoesOnTalking) {
  open(GetParam());
  worker_->send(message(1));
  ASSERT_TRUE(until([&] { return up_.size() == 1; }));
  const std::string text = big_text(9'000'001);
  WorkerMessage m = message(2);
  m.outcomes.resize(1);
  m.outcomes[0].attempt = {TaskId{Uuid{5, 6}}, Token{9}};
  m.outcomes[0].outcome.result.bytes = Buffer::of(text);
  worker_->send(m);
  std::uint64_t seq = 2;
  const auto seqs = [&] {
    std::vector<std::uint64_t> all;
    for (const auto& one : up_) all.push_back(one.seq);
    return ::testing::PrintToString(all);
  };
  ASSERT_TRUE(until([&] {
    if (seq < 20) worker_->send(message(++seq));  // each supersedes what the dispatcher was about to ask
    return up_.size() == 20;
  })) << seqs()
      << " " << ::testing::PrintToString(dispatcher_->take_notes()) << worker_->refusal();
  ASSERT_EQ(up_[1].outcomes.size(), 1u);
  EXPECT_TRUE(up_[1].outcomes[0].outcome.result.bytes.view() == text);
  for (std::uint64_t i = 0; i < 20; ++i) EXPECT_EQ(up_[i].seq, i + 1);
  EXPECT_FALSE(dispatcher_->alive().empty());
}

TEST_P(Blobs, ResultOverTheDispatchersLimitFailsItsTaskAndNoOther) {
  max_blob_ = 1'000'000;
  open(GetParam());
  WorkerMessage m = message(1);
  m.outcomes.resize(3);
  for (std::uint64_t i = 0; i < 3; ++i) m.outcomes[i].attempt = {TaskId{Uuid{5, i}}, Token{i + 1}};
  m.outcomes[0].outcome.result.bytes = Buffer::of(big_text(900'000));
  m.outcomes[1].outcome.result.bytes = Buffer::of(big_text(1'000'001));
  worker_->send(m);
  ASSERT_TRUE(until([&] { return up_.size() == 1; }));
  EXPECT_TRUE(up_[0].outcomes[0].outcome.completed());
  EXPECT_EQ(up_[0].outcomes[0].outcome.result.bytes.size(), 900'000u);
  const core::Outcome& over = up_[0].outcomes[1].outcome;
  EXPECT_EQ(over.kind, core::ErrorKind::ResultTooLarge);
  EXPECT_NE(over.error_message.find("1000001 bytes"), std::string::npos) << over.error_message;
  EXPECT_NE(over.error_message.find("--max-payload"), std::string::npos);
  EXPECT_FALSE(over.result.bytes.empty());
  EXPECT_TRUE(up_[0].outcomes[2].outcome.completed());
}

// What any program may send to the port.
class Stranger {
 public:
  Stranger(ZmqContext& context, ZmqSocket::Kind kind, const std::string& endpoint) : socket_(context, kind) {
    EXPECT_TRUE(socket_.connect(endpoint));
  }
  bool send(const Frames& frames) { return socket_.send({}, frames) == ZmqSocket::Sent::Yes; }
  bool receive(Frames& frames) {
    auto received = socket_.receive();
    if (received) frames = received->frames;
    return received.has_value();
  }

 private:
  ZmqSocket socket_;
};

TEST_F(Wire, GarbageIsAnsweredWithWhatIsWrongAndNothingElseHappens) {
  open(Mode::Pull);
  Stranger stranger(context_, ZmqSocket::Kind::Request, endpoint_);
  ASSERT_TRUE(until([&] { return stranger.send(text_frames({"GIMME", "not json"})); }));
  Frames reply;
  ASSERT_TRUE(until([&] { return stranger.receive(reply); }));
  const auto text = error_text(reply);
  ASSERT_TRUE(text);
  EXPECT_FALSE(text->empty());
  EXPECT_TRUE(up_.empty());
}

TEST_F(Wire, MessageWithoutAnEmptyFrameIsCountedAndDropped) {
  open(Mode::Push);
  Stranger stranger(context_, ZmqSocket::Kind::Dealer, endpoint_);
  ASSERT_TRUE(until([&] { return stranger.send(text_frames({"HEARTBEAT", "{}", "x", "y"})); }));
  ASSERT_TRUE(until([&] { return dispatcher_->counters().malformed == 1; }));
  EXPECT_TRUE(up_.empty());
}

TEST_F(Wire, TooManyFramesAreRefused) {
  open(Mode::Pull);
  Stranger stranger(context_, ZmqSocket::Kind::Request, endpoint_);
  Frames many(core::limits::kMaxFrames + 10, Buffer::of("x"));
  ASSERT_TRUE(until([&] { return stranger.send(many); }));
  Frames reply;
  ASSERT_TRUE(until([&] { return stranger.receive(reply); }));
  EXPECT_NE(error_text(reply).value_or("").find(std::to_string(core::limits::kMaxFrames)), std::string::npos);
}

TEST_F(Wire, OversizedFrameEndsThatConnectionOnly) {
  open(Mode::Push);
  Stranger stranger(context_, ZmqSocket::Kind::Dealer, endpoint_);
  Frames big;
  big.emplace_back();
  big.push_back(Buffer::of(std::string(core::limits::kMaxFrame + 1, 'x')));
  ASSERT_TRUE(until([&] { return stranger.send(big); }));
  worker_->send(message(1));
  ASSERT_TRUE(until([&] { return up_.size() == 1; }));
  turn();
  EXPECT_EQ(up_.size(), 1u);
  EXPECT_EQ(dispatcher_->counters().received, 1u);
}

TEST_F(Wire, GoneConnectionOfAPlainClientIsNoticedWithoutSendingToIt) {
  open(Mode::Pull);
  auto client = std::make_unique<Stranger>(context_, ZmqSocket::Kind::Request, endpoint_);
  ASSERT_TRUE(until([&] { return client->send(text_frames({"HEARTBEAT", R"({"protocol":1,"worker":"plain-1"})"})); }));
  ASSERT_TRUE(until([&] { return up_.size() == 1; })) << dispatcher_->counters().malformed;
  EXPECT_EQ(up_[0].seq, 0u);
  client.reset();
  ASSERT_TRUE(until([&] { return !unroutable_.empty(); }));
  EXPECT_EQ(unroutable_[0], worker_id_of("plain-1"));
}

TEST_F(Wire, GoneConnectionOfAPullWorkerIsNoticedWithoutAnAnswerToIt) {
  open(Mode::Pull);
  worker_->send(message(1));
  ASSERT_TRUE(until([&] { return up_.size() == 1; }));
  const auto begun = std::chrono::steady_clock::now();
  worker_ = connect(Mode::Pull);  // the first one is closed by this, while its request waits
  ASSERT_TRUE(until([&] { return !unroutable_.empty(); }));
  EXPECT_EQ(unroutable_[0], kWorker);
  EXPECT_EQ(dispatcher_->counters().sent, 0u);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(5));
}

// A descriptor that went was another's: the doubt that it raises costs a live worker nothing.
TEST_F(Wire, APullWorkerDoesNotHearThatItWasProbed) {
  open(Mode::Pull);
  worker_->send(message(1));
  ASSERT_TRUE(until([&] { return up_.size() == 1; }));
  dispatcher_->doubt(kWorker, now());
  const auto begun = std::chrono::steady_clock::now();
  ASSERT_TRUE(until([&] { return std::chrono::steady_clock::now() - begun > std::chrono::milliseconds(400); }));
  EXPECT_GT(dispatcher_->counters().probes, 3u);
  EXPECT_TRUE(unroutable_.empty());
  EXPECT_TRUE(down_.empty());
  dispatcher_->send(kWorker, answer(1));
  ASSERT_TRUE(until([&] { return down_.size() == 1; }));
  EXPECT_EQ(down_[0].seq, 1u);
}

// A peer that dies and comes back, again and again, while messages of many frames are being sent.
class DyingPeer : public ::testing::TestWithParam<ZmqSocket::Kind> {};

TEST_P(DyingPeer, CostsTheMessageThatWasBeingSentAndNothingElse) {
  constexpr int kDeaths = 25;
  const Frames frames(1000, Buffer::of(std::string("frame")));
  std::string endpoint;
  {
    ZmqContext context;
    ZmqSocket first(context, ZmqSocket::Kind::Router);
    ASSERT_TRUE(first.bind("tcp://127.0.0.1:*"));
    endpoint = first.endpoint();
  }
  std::atomic<int> deaths = 0;
  std::thread peer([&] {
    for (int lives = 0; lives < 20 * kDeaths && deaths < kDeaths; ++lives) {
      ZmqContext context;
      ZmqSocket router(context, ZmqSocket::Kind::Router);
      if (!router.bind(endpoint)) continue;
      const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(15);
      bool met = false;
      while (std::chrono::steady_clock::now() < end) met |= router.receive().has_value();
      deaths += met ? 1 : 0;
    }
  });
  ZmqContext context;
  ZmqSocket sender(context, GetParam());
  ASSERT_TRUE(sender.connect(endpoint));
  const auto say = [&] {
    (void)sender.readable();  // lets zmq look at its connections
    return sender.send({}, frames) == ZmqSocket::Sent::Yes;
  };
  int said = 0;
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (deaths < kDeaths && std::chrono::steady_clock::now() < limit) said += say() ? 1 : 0;
  peer.join();
  EXPECT_EQ(deaths, kDeaths);
  EXPECT_GT(said, kDeaths);

  ZmqContext last;
  ZmqSocket router(last, ZmqSocket::Kind::Router);
  ASSERT_TRUE(router.bind(endpoint));
  const std::size_t prefix = GetParam() == ZmqSocket::Kind::Request ? 3 : 1;  // who, and a number and an empty frame
  bool whole = false;
  while (!whole && std::chrono::steady_clock::now() < limit) {
    say();
    while (auto received = router.receive()) whole |= received->frames.size() == prefix + frames.size();
  }
  EXPECT_TRUE(whole);
}

INSTANTIATE_TEST_SUITE_P(Kinds, DyingPeer, ::testing::Values(ZmqSocket::Kind::Request, ZmqSocket::Kind::Dealer),
                         [](const auto& info) {
                           return std::string(info.param == ZmqSocket::Kind::Request ? "request" : "dealer");
                         });

TEST_F(Wire, TakenPortSaysSo) {
  open(Mode::Push);
  const auto second = ZmqDispatcherLink::listen(context_, Mode::Push, endpoint_, kMaxBlob);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::Conflict);
}

}  // namespace
}  // namespace treadle::transport
