#include "store/redis/probe.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "store/redis/loop.h"

namespace treadle::store::redis {
namespace {

constexpr int kMajorNeeded = 7;         // the first whose scripts may say allow-oom
constexpr Duration kProbePause = 50ms;  // between two tries
constexpr const char* kInfos[] = {"server", "persistence", "memory"};
constexpr const char* kSettings[] = {"appendonly", "appendfsync", "no-appendfsync-on-rewrite"};

using Facts = std::map<std::string, std::string, std::less<>>;

std::string fact(const Facts& facts, std::string_view name) {
  const auto at = facts.find(name);
  return at == facts.end() ? "" : at->second;
}

// "name:value\r\n" lines.
void read_info(std::string_view text, Facts& facts) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    const std::size_t colon = line.find(':');
    if (colon != std::string_view::npos && !line.starts_with('#'))
      facts[std::string(line.substr(0, colon))] = line.substr(colon + 1);
  }
}

// The settings, or nullopt if any was not told.
std::optional<Facts> read_settings(const std::vector<Reply>& replies) {
  Facts facts;
  for (std::size_t i = 0; i < std::size(kSettings); ++i) {
    const Reply& reply = replies[std::size(kInfos) + i];
    if (reply.type != Reply::Type::Array || reply.items.size() != 2) return std::nullopt;
    facts[reply.items[0].text] = reply.items[1].text;
  }
  return facts;
}

std::string mend(const std::string& setting) {
  return " Set it: redis-cli CONFIG SET " + setting + ", and in redis.conf.";
}

Level level_of(const Facts& info, const std::optional<Facts>& settings, const std::string& redis,
               std::vector<std::string>& warnings) {
  if (fact(info, "aof_enabled") == "0" || (settings && fact(*settings, "appendonly") != "yes")) {
    warnings.push_back(redis +
                       " keeps no append-only file (appendonly no): when it dies, it loses tasks that were accepted." +
                       mend("appendonly yes"));
    return Level::None;
  }
  if (!settings) {
    warnings.push_back(redis +
                       " does not tell how it keeps its data (CONFIG GET is refused), so nothing is promised: the "
                       "level is none. Allow it to Treadle's user: ACL SETUSER <user> +config|get.");
    return Level::None;
  }
  if (fact(info, "aof_last_write_status") == "err")
    warnings.push_back(
        redis + " could not write its append-only file the last time it tried. Look into its log: is the disk full?");
  const std::string sync = fact(*settings, "appendfsync");
  if (sync == "no")
    warnings.push_back(redis +
                       " never syncs its append-only file (appendfsync no): a power loss takes what the kernel had not "
                       "written, often 30 s." +
                       mend("appendfsync everysec"));
  if (sync != "always") return Level::Process;
  if (fact(*settings, "no-appendfsync-on-rewrite") != "yes") return Level::Power;
  warnings.push_back(redis +
                     " does not sync while it rewrites its append-only file (no-appendfsync-on-rewrite yes), so the "
                     "level is process, not power." +
                     mend("no-appendfsync-on-rewrite no"));
  return Level::Process;
}

void warn_of_eviction(const Facts& info, const std::string& redis, std::vector<std::string>& warnings) {
  const std::string policy = fact(info, "maxmemory_policy");
  const std::string memory = fact(info, "maxmemory");
  if (memory.empty() || memory == "0" || policy.empty() || policy == "noeviction") return;
  warnings.push_back(redis + " evicts keys when its memory is full (maxmemory-policy " + policy + " at " + memory +
                     " bytes): tasks and results get lost." + mend("maxmemory-policy noeviction"));
}

Result<std::string> version_of(const Facts& info, const std::string& redis) {
  const std::string version = fact(info, "redis_version");
  int major = 0;
  const auto [end, error] = std::from_chars(version.data(), version.data() + version.size(), major);
  if (error != std::errc() || end == version.data() + version.size() || *end != '.')
    return fail(Code::StoreError,
                redis + " does not tell its version (INFO says '" + version + "'). Treadle needs Redis 7.0 or newer.");
  if (major < kMajorNeeded)
    return fail(Code::StoreError,
                redis + " is version " + version +
                    "; Treadle needs 7.0 or newer, whose scripts may finish tasks "
                    "while memory is full. Upgrade it, or run without Redis: treadle serve -m push -p 7001.");
  return version;
}

// One start's questions, repeated until they are answered.
class Probe : public std::enable_shared_from_this<Probe> {
 public:
  Probe(boost::asio::io_context& io, Client& client, Callback<void(Result<Findings>)> done, Duration patience)
      : client_(client), done_(std::move(done)), timer_(io), until_(Clock::now() + patience) {}

  void ask() {
    client_.send_all(probe_commands(), [self = shared_from_this()](Result<std::vector<Reply>> replies) {
      self->on_answer(std::move(replies));
    });
    client_.flush();
  }

 private:
  using Clock = std::chrono::steady_clock;

  void on_answer(Result<std::vector<Reply>> replies) {
    if (!replies) {
      if (client_.refused()) return done_(client_.last_error());
      return again(no_redis(client_.address()));
    }
    auto judgement = judge(*replies, client_.address());
    if (!judgement) return done_(std::move(judgement.error()));
    if (judgement->loading)
      return again(fail(Code::Unavailable,
                        "Redis at " + client_.address().shown() +
                            " is still loading its data from disk. Start Treadle again when it has (redis-cli "
                            "INFO persistence says loading:0)."));
    done_(std::move(judgement->findings));
  }

  void again(Error error) {
    if (Clock::now() >= until_) return done_(std::move(error));
    timer_.start(kProbePause, [self = shared_from_this()] { self->ask(); });
  }

  Client& client_;
  Callback<void(Result<Findings>)> done_;
  Timer timer_;
  const Clock::time_point until_;
};

}  // namespace

void probe(boost::asio::io_context& io, Client& client, Callback<void(Result<Findings>)> done, Duration patience) {
  std::make_shared<Probe>(io, client, std::move(done), patience)->ask();
}

std::vector<Command> probe_commands() {
  std::vector<Command> commands;
  for (const char* section : kInfos) commands.push_back({"INFO", section});
  for (const char* setting : kSettings) commands.push_back({"CONFIG", "GET", setting});
  return commands;
}

Result<Judgement> judge(const std::vector<Reply>& replies, const Address& address) {
  const std::string redis = "Redis at " + address.shown();
  Facts info;
  for (std::size_t i = 0; i < std::size(kInfos); ++i) {
    if (replies[i].type == Reply::Type::Error)
      return fail(Code::StoreError, redis + " refuses INFO (" + replies[i].text +
                                        "). Allow it to Treadle's user: ACL SETUSER <user> +info.");
    read_info(replies[i].text, info);
  }
  Judgement judgement;
  TRY(judgement.findings.version, version_of(info, redis));
  judgement.loading = fact(info, "loading") == "1";
  judgement.findings.level = level_of(info, read_settings(replies), redis, judgement.findings.warnings);
  warn_of_eviction(info, redis, judgement.findings.warnings);
  return judgement;
}

Error no_redis(const Address& address) {
  return fail(Code::StoreAway, "No Redis at " + address.shown() +
                                   ". Start one (redis-server), name another (--store redis://host:6379/0), or run "
                                   "everything in one process without Redis: treadle serve -m push -p 7001.");
}

}  // namespace treadle::store::redis
