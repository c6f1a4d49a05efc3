#include "store/redis/topology.h"

namespace treadle::store::redis {
namespace {

class Fixed final : public Topology {
 public:
  Fixed(boost::asio::io_context& io, const Address& address, const ClientConfig& config) {
    for (const Address& one : address.each()) masters_.push_back(std::make_unique<Master>(io, one, config));
  }
  ~Fixed() override { drop_homes(); }

  Result<void> learn(Duration) override { return {}; }
  std::vector<Master*> masters() override {
    std::vector<Master*> all;
    for (const auto& master : masters_) all.push_back(master.get());
    return all;
  }
  std::vector<Master*> layout_masters() override { return masters(); }
  void turn(Instant) override {}
  Instant next_deadline() const override { return Instant::never(); }
  void close() override {
    for (const auto& master : masters_) master->close();
  }

 private:
  std::unique_ptr<Home> make_home(Partition partition) override {
    return std::make_unique<Home>(*masters_[partition.number % masters_.size()]);
  }

  std::vector<std::unique_ptr<Master>> masters_;
};

}  // namespace

void Topology::settle(unsigned partitions) {
  for (unsigned p = 0; p < partitions; ++p) homes_.push_back(make_home({p, partitions}));
}

std::shared_ptr<Topology> fixed_topology(boost::asio::io_context& io, const Address& address,
                                         const ClientConfig& config) {
  return std::make_shared<Fixed>(io, address, config);
}

}  // namespace treadle::store::redis
