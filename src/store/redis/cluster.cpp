// A Redis Cluster: who has which slot, asked of any node (CLUSTER SLOTS) at the start, when a node says MOVED or cannot
// be reached, and now and then. A partition's keys are all in one slot, so it has one master at a time.
#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <utility>

#include "base/assert.h"
#include "store/redis/fields.h"
#include "store/redis/loop.h"
#include "store/redis/slots.h"
#include "store/redis/topology.h"

namespace treadle::store::redis {
namespace {

constexpr Duration kLookEvery = 5s;     // while all is well
constexpr Duration kLookAgain = 100ms;  // after something was in vain
constexpr Duration kLookLimit = 1s;     // for an answer; then another node is asked
constexpr Duration kStep = 10ms;        // of the loop while we run it ourselves

class Cluster final : public Topology {
 public:
  Cluster(boost::asio::io_context& io, const Address& address, const ClientConfig& config)
      : io_(io), address_(address), config_(config) {
    for (const Address& seed : address_.each()) master_at({seed.host, seed.port});
  }
  ~Cluster() override { drop_homes(); }

  Result<void> learn(Duration limit) override {
    for (Duration left = limit; left > Duration{0}; left -= kStep) {
      if (!asking_ && slots_.empty()) ask();
      run_one(io_, kStep);
      if (!slots_.empty()) return {};
      if (refusal_) return *refusal_;
      if (asking_ && (limit - left) % kLookLimit < kStep && left < limit) asking_ = false;
    }
    return fail(Code::StoreAway, "No node of the cluster " + address_.shown() + " tells who has its slots: " +
                                     last_error() + ". Start them, name others, or look at redis-cli cluster info.");
  }

  std::vector<Master*> masters() override {
    std::vector<Master*> all;
    for (const SlotRange& range : slots_) {
      Master* const one = master_at(range.master);
      if (std::find(all.begin(), all.end(), one) == all.end()) all.push_back(one);
    }
    return all;
  }

  std::vector<Master*> layout_masters() override { return {master_of(slot_of("treadle:meta"))}; }

  void turn(Instant now) override {
    now_ = now;
    if (wants_look_ && !asking_ && now >= look_at_) ask();
    if (now >= next_look_) wants_look_ = true;
    if (asking_ && now >= give_up_at_) {  // that node is silent: the next one
      asking_ = false;
      wants_look_ = true;
    }
  }

  Instant next_deadline() const override {
    if (asking_) return give_up_at_;
    return wants_look_ ? look_at_ : next_look_;
  }

  void close() override {
    for (auto& [place, master] : masters_) master->close();
  }

 private:
  using Key = std::pair<std::string, std::uint16_t>;

  std::unique_ptr<Home> make_home(Partition partition) override {
    const std::uint16_t slot = slot_of(partition.prefix());
    auto home = std::make_unique<Home>(*master_of(slot));
    home->set_guide({.elsewhere = [this, home = home.get()](std::string_view says,
                                                            bool bulk) { return elsewhere(*home, says, bulk); },
                     .in_vain = [this] { look_soon(); }});
    partition_slots_.push_back(slot);
    return home;
  }

  Master* master_at(const Address::Place& place) {
    auto& master = masters_[Key{place.host, place.port}];
    if (!master) master = std::make_unique<Master>(io_, address_.at(place), config_);
    return master.get();
  }

  Master* master_of(std::uint16_t slot) {
    for (const SlotRange& range : slots_) {
      if (slot >= range.first && slot <= range.last) return master_at(range.master);
    }
    return master_at(slots_.empty() ? Address::Place{address_.host, address_.port} : slots_.front().master);
  }

  // "MOVED 3999 host:port": for good, and perhaps others too. "ASK 3999 host:port": this once.
  Client* elsewhere(Home& home, std::string_view says, bool bulk) {
    const auto told = parse_redirection(says, home.master().client().address().host);
    if (!told) return nullptr;
    Master* const master = master_at(told->place);
    if (!told->once) {
      look_soon();
      home.move_to(*master);
    }
    return bulk ? &master->bulk() : &master->client();
  }

  void look_soon() {
    if (std::exchange(wants_look_, true)) return;
    look_at_ = std::max(now_, last_look_ + kLookAgain);
  }

  // One node after the other, those that are connected first.
  void ask() {
    wants_look_ = false;
    asking_ = true;
    last_look_ = now_;
    next_look_ = now_ + kLookEvery;
    give_up_at_ = now_ + kLookLimit;
    Master* chosen = nullptr;
    for (std::size_t i = 0; i < masters_.size(); ++i) {
      auto at = masters_.begin();
      std::advance(at, static_cast<long>((turn_ + i) % masters_.size()));
      if (chosen && !at->second->client().connected()) continue;
      if (chosen && chosen->client().connected()) break;
      chosen = at->second.get();
    }
    ++turn_;
    TREADLE_ASSERT(chosen != nullptr);
    Client& client = chosen->client();
    client.send({"CLUSTER", "SLOTS"}, [this, host = client.address().host, number = ++question_](Result<Reply> reply) {
      if (number == question_) take(std::move(reply), host);
    });
    client.flush();
  }

  void take(Result<Reply> reply, const std::string& host) {
    asking_ = false;
    if (!reply || reply->type == Reply::Type::Error) {
      if (reply && (reply->text.starts_with("ERR This instance has cluster support disabled") ||
                    reply->text.starts_with("NOPERM")))
        refusal_ = fail(Code::StoreError, "Redis at " + host + " is no node of a cluster (" + std::string(reply->text) +
                                              "). Name it as redis://host:port/0.");
      return look_soon();
    }
    auto slots = parse_slots(*reply, host);
    if (slots.empty()) return look_soon();
    slots_ = std::move(slots);
    for (std::size_t p = 0; p < homes().size(); ++p) homes()[p]->move_to(*master_of(partition_slots_[p]));
    const bool all_there = std::all_of(homes().begin(), homes().end(),
                                       [](const auto& home) { return home->small().client().connected(); });
    if (!all_there) look_soon();
  }

  std::string last_error() {
    std::string all;
    for (auto& [key, master] : masters_) all += (all.empty() ? "" : "; ") + master->client().last_error().message;
    return all;
  }

  boost::asio::io_context& io_;
  const Address address_;
  const ClientConfig config_;
  std::map<Key, std::unique_ptr<Master>> masters_;  // every node that was ever named; kept, since it may come back
  std::vector<SlotRange> slots_;
  std::vector<std::uint16_t> partition_slots_;
  std::optional<Error> refusal_;
  std::size_t turn_ = 0;
  std::uint64_t question_ = 0;
  bool asking_ = false, wants_look_ = false;
  Instant now_, last_look_, look_at_, give_up_at_, next_look_;
};

}  // namespace

std::shared_ptr<Topology> cluster_topology(boost::asio::io_context& io, const Address& address,
                                           const ClientConfig& config) {
  return std::make_shared<Cluster>(io, address, config);
}

}  // namespace treadle::store::redis
