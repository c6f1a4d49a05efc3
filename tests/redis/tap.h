// A wire between a client and a Redis that can be cut: drops the reply of a chosen command, breaks at a byte, delays,
// refuses. Counts every fault that struck.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "store/redis/address.h"

namespace treadle::store::redis::testing {

// Has a thread of its own; all methods may be called from any other.
class Tap {
 public:
  explicit Tap(const Address& server);  // over TCP or a Unix socket; an error is a std::runtime_error
  ~Tap();
  Tap(const Tap&) = delete;
  Tap& operator=(const Tap&) = delete;

  // The server's address, with the tap's port.
  Address address() const;

  // Commands are counted as they pass, over all connections. HELLO, AUTH, SELECT, CLIENT, PING and (UN)SUBSCRIBE pass
  // uncounted unless named. The command reaches Redis and is carried out; instead of its reply the connection breaks.
  // Replies before it arrive. `command` (e.g. "EVALSHA"): counts those only.
  void drop_reply(int nth, std::string command = "");
  void drop_next_reply(std::string command = "") { drop_reply(1, std::move(command)); }
  // The connection breaks as the command arrives: Redis never sees it.
  void drop_command(int nth, std::string command = "");
  // The next connection that carries so many more bytes breaks after them, in the middle of whatever they are.
  void cut_after_bytes_to_client(std::uint64_t bytes);
  void cut_after_bytes_to_server(std::uint64_t bytes);
  // Every piece from the server waits so long before it is passed on.
  void delay(std::chrono::milliseconds each);
  // Nothing moves any more, no connection is closed: a cable that was pulled.
  void freeze(bool frozen);
  // Closes all connections, and new ones at once, until it is false again.
  void refuse(bool refused);
  void cut_all();

  int struck() const;    // faults that were armed and have happened
  bool armed() const;    // one still waits to happen
  int commands() const;  // counted ones that passed
  int accepted() const;  // connections

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace treadle::store::redis::testing
