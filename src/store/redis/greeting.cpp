#include "store/redis/greeting.h"

#include <utility>

namespace treadle::store::redis {
namespace {

// What a refusal means, and what to do.
Error refusal(const Address& address, const std::string& text) {
  const std::string redis = "Redis at " + address.shown();
  const auto is = [&](std::string_view word) { return text.starts_with(word); };
  if (is("NOAUTH"))
    return fail(Code::StoreError,
                redis + " asks for a password. Give it in the address: redis://:PASSWORD@host:port/0.");
  if (is("WRONGPASS") || is("ERR invalid password"))
    return fail(Code::StoreError, redis + " refuses the user or the password of the address (" + text +
                                      "). Give the right ones: redis://USER:PASSWORD@host:port/0.");
  if (is("NOPERM"))
    return fail(Code::StoreError,
                redis + " does not let this user in (" + text + "). Its ACL must allow what Treadle needs: +@all.");
  return fail(Code::StoreError, redis + " answered the greeting with an error: " + text + ".");
}

// The parts of a greeting, each begun by the answer to the one before.
class Greeting : public std::enable_shared_from_this<Greeting> {
 public:
  Greeting(std::shared_ptr<Connection> connection, const Address& address, bool must_be_master,
           Callback<void(Result<void>)> done)
      : connection_(std::move(connection)),
        address_(address),
        must_be_master_(must_be_master),
        done_(std::move(done)) {}

  void hello() {
    Command command{"HELLO", "3"};
    if (!address_.password.empty()) {
      const std::string user = address_.user.empty() ? "default" : address_.user;
      command.insert(command.end(), {"AUTH", user, address_.password});
    }
    command.insert(command.end(), {"SETNAME", "treadle"});
    send(std::move(command), [this](const Reply& reply) {
      if (reply.type != Reply::Type::Error) return select();
      if (reply.text.starts_with("NOPROTO") || reply.text.starts_with("ERR unknown command")) return auth();
      finish(refusal(address_, reply.text));
    });
  }

 private:
  void auth() {
    if (address_.password.empty()) return select();
    Command command{"AUTH", address_.password};
    if (!address_.user.empty()) command.insert(command.begin() + 1, address_.user);
    send(std::move(command), [this](const Reply& reply) {
      reply.type == Reply::Type::Error ? finish(refusal(address_, reply.text)) : select();
    });
  }

  void select() {
    if (address_.database == 0) return role();
    send({"SELECT", std::to_string(address_.database)}, [this](const Reply& reply) {
      if (reply.type != Reply::Type::Error) return role();
      if (reply.text.starts_with("NOAUTH") || reply.text.starts_with("NOPERM"))
        return finish(refusal(address_, reply.text));
      finish(fail(Code::StoreError, "Redis at " + address_.shown() + " has no database " +
                                        std::to_string(address_.database) + " (" + reply.text +
                                        "). Name another in the address, or raise `databases` in redis.conf."));
    });
  }

  // A Sentinel may still name the old master, or name the new one before it knows.
  void role() {
    if (!must_be_master_) return finish({});
    send({"ROLE"}, [this](const Reply& reply) {
      if (reply.type == Reply::Type::Array && !reply.items.empty() && reply.items[0].text == "master")
        return finish({});
      finish(fail(Code::Unavailable, "Redis at " + address_.shown() +
                                         " is named by the Sentinels as the master and is none. Treadle asks again."));
    });
  }

  template <class Next>
  void send(Command command, Next next) {
    std::deque<Request> requests;
    requests.push_back({std::move(command), [self = shared_from_this(), next](Result<Reply> reply) {
                          reply ? next(*reply) : self->finish(std::move(reply.error()));
                        }});
    connection_->write(std::move(requests));
  }

  void finish(Result<void> result) { std::exchange(done_, {})(std::move(result)); }

  const std::shared_ptr<Connection> connection_;
  const Address address_;
  const bool must_be_master_;
  Callback<void(Result<void>)> done_;
};

}  // namespace

void greet(std::shared_ptr<Connection> connection, const Address& address, bool must_be_master,
           Callback<void(Result<void>)> done) {
  std::make_shared<Greeting>(std::move(connection), address, must_be_master, std::move(done))->hello();
}

}  // namespace treadle::store::redis
