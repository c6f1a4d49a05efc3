#include "store/redis/master.h"

#include <utility>
#include <vector>

namespace treadle::store::redis {

Master::Master(boost::asio::io_context& io, Address address, ClientConfig config)
    : io_(io), address_(std::move(address)), config_(config), client_(io, address_, config_) {
  client_.on_message([this](std::string_view channel, std::string_view message) {
    for (Home* home : homes_) home->hear(channel, message);
  });
  client_.on_connected([this] {
    for (Home* home : homes_) home->connected();
  });
}

Client& Master::bulk() {
  if (!bulk_) bulk_ = std::make_unique<Client>(io_, address_, config_);
  return *bulk_;
}

void Master::flush() {
  client_.flush();
  if (bulk_) bulk_->flush();
}

void Master::close() {
  if (bulk_) bulk_->close();
  client_.close();
}

void Master::subscribe(const std::string& channel, Callback<void(Result<void>)> confirmed) {
  ++listeners_[channel];
  client_.subscribe(channel, std::move(confirmed));
}

void Master::unsubscribe(const std::string& channel) {
  const auto at = listeners_.find(channel);
  if (at == listeners_.end() || --at->second > 0) return;
  listeners_.erase(at);
  client_.unsubscribe(channel);
}

void Home::move_to(Master& master) {
  if (&master == master_) return;
  for (const std::string& channel : channels_) master_->unsubscribe(channel);
  moves_ += master_->client().moves() + 1;
  master_->remove(*this);
  master_ = &master;
  master_->add(*this);
  for (const std::string& channel : channels_) master_->subscribe(channel, [](Result<void>) {});
  connected();
}

void Home::subscribe(std::string channel, Callback<void(Result<void>)> confirmed) {
  if (channels_.insert(channel).second) return master_->subscribe(channel, std::move(confirmed));
  master_->client().subscribe(std::move(channel), std::move(confirmed));
}

void Home::unsubscribe(const std::string& channel) {
  if (channels_.erase(channel) > 0) master_->unsubscribe(channel);
}

}  // namespace treadle::store::redis
