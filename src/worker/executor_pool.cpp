#include "worker/executor_pool.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cerrno>
#include <cstring>

#include "worker/executor_source.h"
#include "worker/memory.h"
#include "worker/process_tree.h"

namespace treadle::worker {
namespace {

namespace json = boost::json;
using core::ExecutorNo;
namespace command = core::command;
namespace event = core::event;

constexpr Duration kForkTakes = 5s;                // at most, by a zygote that is ready
constexpr std::uint32_t kFirstBuilder = 1u << 31;  // numbers that the core does not reach

// The first byte of every mark; of a start mark it is 0x7F. No text ends in either, so the end of a text is never held
// back as the possible beginning of a mark, and stdout and stderr keep the order in which they came.
constexpr char kMarkBegins = '\xFF';

std::uint32_t number(ExecutorNo no) { return static_cast<std::uint32_t>(no); }

std::string hex(const Mark& mark) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const char c : mark) {
    const auto byte = static_cast<unsigned char>(c);
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

std::string current_directory() {
  std::unique_ptr<char, decltype(&::free)> path(::get_current_dir_name(), &::free);
  return path ? std::string(path.get()) : std::string("/");
}

}  // namespace

Result<std::unique_ptr<ExecutorPool>> ExecutorPool::start(PoolOptions options) {
  std::unique_ptr<ExecutorPool> pool(new ExecutorPool(std::move(options)));
  TRY([[maybe_unused]] auto done, pool->begin());
  return pool;
}

Result<void*> ExecutorPool::begin() {
  if (options_.cwd.empty()) options_.cwd = current_directory();
  TRY(source_, executor_source());
  temp_ = std::make_unique<TempFolders>(options_.temp_dir);
  epoll_ = UniqueFd(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll_) return fail(Code::Internal, std::string("no epoll instance: ") + std::strerror(errno));
  TRY([[maybe_unused]] auto guard, start_guard());
  TRY([[maybe_unused]] auto zygote, zygote_for({}));
  return nullptr;
}

Result<void*> ExecutorPool::start_guard() {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);  // of what a guard that is killed leaves behind
  others_ = children(list_processes(), ::getpid());
  TRY(GuardProcess guard, GuardProcess::start(options_.guard));
  guard_ = std::make_unique<GuardProcess>(std::move(guard));
  guard_started_ = last_turn_;
  watch(guard_->socket(), tag_of(kGuard), EPOLLIN);
  return nullptr;
}

ExecutorPool::~ExecutorPool() = default;

void ExecutorPool::watch(int fd, std::uint64_t tag, std::uint32_t what) {
  epoll_event wanted{};
  wanted.events = what;
  wanted.data.u64 = tag;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &wanted) != 0) {
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &wanted);
  }
}

// The number of a zygote of this interpreter and environment that is ready or on its way. Missing: the environment is
// not there (any more).
Result<std::uint32_t> ExecutorPool::zygote_for(const ZygoteKey& key) {
  if (key.interpreter >= options_.interpreters.size()) {
    return fail(Code::Invalid, "there is no interpreter number " + std::to_string(key.interpreter));
  }
  if (!guard_) {
    TRY([[maybe_unused]] auto started, start_guard());
  }
  if (const auto known = zygotes_.find(key); known != zygotes_.end() && known->second.no != 0) {
    if (!known->second.stopped) {
      known->second.used = last_turn_;
      return known->second.no;
    }
  }
  ZygoteOptions what = options_.interpreters[key.interpreter];
  what.paths = options_.paths;
  if (!key.environment.empty()) {
    const std::string name = environments_.name_of(what, key.environment);
    if (!environments_.is_there(name)) return fail(Code::NotFound, "its environment is not there");
    what.python = environments_.python_of(name);
    what.lock = environments_.lock_of(name);
    stop_an_idle_environment();
  }
  const std::string spec = zygote_spec(what, current_environment(), options_.cwd);
  std::string packet = make_packet(GuardPacket::StartZygote, last_zygote_ + 1, 0, spec);
  if (packet.size() > kMaxPacket) {
    return fail(Code::TooLarge, "the environment has more than " + std::to_string(kMaxPacket) +
                                    " bytes; start treadle with a smaller one");
  }
  std::vector<UniqueFd> fds;
  fds.push_back(make_memfd("treadle-executor", source_, true));
  if (!fds[0]) return fail(Code::Internal, std::string("no memory for the executor's source: ") + std::strerror(errno));
  guard_->send(std::move(packet), std::move(fds));
  Zygote& zygote = zygotes_[key];
  zygote = {++last_zygote_, 0, {}, last_turn_, false};
  return zygote.no;
}

// Warm processes of environments are kept for limits::kEnvironmentZygotes at most, as far as nothing below them runs.
void ExecutorPool::stop_an_idle_environment() {
  std::map<Instant, std::pair<const ZygoteKey, Zygote>*> idle;
  std::size_t count = 0;
  for (auto& item : zygotes_) {
    if (item.first.environment.empty() || item.second.no == 0 || item.second.stopped) continue;
    ++count;
    const bool used = std::any_of(executors_.begin(), executors_.end(),
                                  [&](const auto& executor) { return executor.second.zygote == item.first; });
    if (!used) idle[item.second.used] = &item;
  }
  if (count < core::limits::kEnvironmentZygotes || idle.empty()) return;
  Zygote& oldest = idle.begin()->second->second;
  oldest.stopped = true;
  guard_->send(make_packet(GuardPacket::StopZygote, oldest.no, 0));
}

std::string ExecutorPool::settings_of(ExecutorNo no, const core::ExecutorKey& key, const Mark& mark,
                                      const std::string& build) const {
  json::object settings;
  if (!build.empty()) settings["build"] = json::parse(build);
  settings["worker_id"] = options_.worker_id;
  settings["executor"] = number(no);
  settings["paths"] = json::value_from(options_.paths);
  settings["cwd"] = options_.cwd;
  const std::uint64_t result_limit = key.allowance.result_bytes;
  settings["max_result"] = result_limit > 0 ? std::min(result_limit, options_.max_result) : options_.max_result;
  settings["mark"] = hex(mark);
  settings["isolation"] = key.isolation == core::Isolation::Fresh ? "fresh" : "reuse";
  settings["result_limit"] = result_limit;
  settings["memory_limit"] = key.memory_limit;
  settings["open_files"] = key.allowance.open_files;
  settings["tmp"] = temp_->folder_of(number(no));
  settings["secrets_dir"] = options_.secrets_dir;
  if (!key.surroundings.empty()) settings["surroundings"] = key.surroundings;
  return json::serialize(settings);
}

void ExecutorPool::run(const core::ExecutorCommand& command, Events& events) {
  std::visit([&](const auto& one) { run_one(one, events); }, command);
}

void ExecutorPool::run_one(const command::Spawn& command, Events& events) {
  const auto launched = launch(command.no, command.key, {command.key.interpreter, command.key.environment}, {});
  if (launched) return;
  const Error& error = launched.error();
  events.emplace_back(event::SpawnFailed{command.no, error.message, error.code == Code::NotFound});
}

// A builder is a child of the interpreter's zygote, as an executor is, but runs no tasks: what it writes is the log.
void ExecutorPool::run_one(const command::BuildEnvironment& command, Events& events) {
  core::ExecutorKey key;
  key.interpreter = command.interpreter;
  if (command.interpreter >= options_.interpreters.size())
    return void(events.emplace_back(event::EnvironmentBuilt{"there is no such interpreter", {}, false}));
  const std::string name = environments_.name_of(options_.interpreters[command.interpreter], command.environment);
  const auto launched = launch(ExecutorNo{kFirstBuilder + builders_++}, key, {command.interpreter, {}},
                               environments_.job(name, command.environment));
  if (!launched) return void(events.emplace_back(event::EnvironmentBuilt{launched.error().message, {}, false}));
  (*launched)->builds = name;
  build_ends_by_ = last_turn_ + core::limits::kEnvironmentBuild;
}

Result<ExecutorPool::Executor*> ExecutorPool::launch(ExecutorNo id, const core::ExecutorKey& key, const ZygoteKey& from,
                                                     const std::string& build) {
  TRY(const std::uint32_t zygote, zygote_for(from));
  Mark mark;
  if (::getrandom(mark.data(), mark.size(), 0) != static_cast<ssize_t>(mark.size()))
    return fail(Code::Internal, "no random bytes");
  mark[0] = kMarkBegins;
  ExecutorChannel::TheirEnds theirs;
  auto channel = ExecutorChannel::make(id, mark, options_.max_result, theirs);
  if (!channel) return fail(Code::Internal, std::string("no descriptors for an executor: ") + std::strerror(errno));

  const std::uint32_t no = number(id);
  const std::string settings = settings_of(id, key, mark, build);
  channel->settings(settings);
  watch(channel->socket(), tag_of(kSocket, no), EPOLLIN);
  watch(channel->pipe(0), tag_of(kStdout, no), EPOLLIN);
  watch(channel->pipe(1), tag_of(kStderr, no), EPOLLIN);
  Executor& executor = executors_[no];
  executor.channel = std::move(channel);
  executor.zygote = from;
  executor.asked = last_turn_;
  unsent_.insert(no);
  guard_->send(make_packet(GuardPacket::Spawn, zygote, no, settings), std::move(theirs));
  return &executor;
}

ExecutorPool::Executor* ExecutorPool::find(ExecutorNo no) {
  const auto it = executors_.find(number(no));
  return it == executors_.end() ? nullptr : &it->second;
}

void ExecutorPool::run_one(const command::SendFunction& command, Events&) {
  Executor* executor = find(command.no);
  if (!executor || executor->killed) return;
  executor->channel->function(command);
  unsent_.insert(number(command.no));
}

void ExecutorPool::run_one(const command::SendTask& command, Events&) {
  Executor* executor = find(command.no);
  if (!executor || executor->killed) return;
  executor->channel->task(command);
  unsent_.insert(number(command.no));
}

void ExecutorPool::run_one(const command::Recall& command, Events& events) {
  Executor* executor = find(command.no);
  const std::uint32_t taken = executor ? executor->channel->recall(command.count) : 0;
  events.emplace_back(event::Recalled{command.no, taken});
}

void ExecutorPool::run_one(const command::CancelTask& command, Events&) {
  Executor* executor = find(command.no);
  if (!executor || executor->killed) return;
  executor->channel->cancel(command.seq);
  unsent_.insert(number(command.no));
}

void ExecutorPool::run_one(const command::Signal& command, Events&) {
  if (!find(command.no) || !guard_) return;
  guard_->send(make_packet(GuardPacket::Signal, static_cast<std::uint32_t>(command.signal), number(command.no)));
}

void ExecutorPool::run_one(const command::DumpStack& command, Events& events) {
  Executor* executor = find(command.no);
  if (!executor || !executor->channel->ready()) return;  // before READY the signal would end it
  executor->channel->expect_stack();
  run_one(command::Signal{command.no, SIGUSR1}, events);
}

void ExecutorPool::run_one(const command::Kill& command, Events&) {
  if (Executor* executor = find(command.no)) kill(number(command.no), *executor);
}

void ExecutorPool::kill(std::uint32_t no, Executor& executor) {
  if (executor.killed) return;
  executor.killed = true;
  if (!guard_) return;
  guard_->send(make_packet(GuardPacket::KillTree, 0, no));
  // A zygote that is not ready may never be, and one that does not fork for so long is stuck: who gives up on its
  // executor gives up on it.
  const Zygote& zygote = zygotes_[executor.zygote];
  const bool stuck = zygote.pid == 0 || last_turn_ - executor.asked > kForkTakes;
  if (executor.pid == 0 && zygote.no != 0 && stuck) {
    guard_->send(make_packet(GuardPacket::StopZygote, zygote.no, 0));
  }
}

void ExecutorPool::run_one(const command::Exit& command, Events&) {
  Executor* executor = find(command.no);
  if (!executor || executor->killed) return;
  executor->channel->exit();
  unsent_.insert(number(command.no));
}

void ExecutorPool::run_one(const command::Measure& command, Events& events) {
  const Executor* executor = find(command.no);
  event::Measured measured;
  measured.no = command.no;
  if (executor && executor->pid != 0 && executor->channel->ready()) {
    const std::uint64_t all = own_memory(executor->pid);
    measured.own_bytes = all > executor->baseline ? all - executor->baseline : 0;
    measured.cpu_us = cpu_time_us(executor->pid);
    measured.output_bytes = executor->channel->pending_output();
    if (command.processes) measured.processes = static_cast<std::uint32_t>(living_below(executor->pid));
  }
  events.emplace_back(measured);
}

void ExecutorPool::run_one(const command::ReadOutput& command, Events& events) {
  Executor* executor = find(command.no);
  if (!executor) return;
  events.emplace_back(
      event::OutputRead{command.no, command.seq, executor->channel->read_output_of(command.seq, command.from)});
}

pid_t ExecutorPool::zygote_pid(std::uint32_t interpreter) const {
  const auto it = zygotes_.find({interpreter, {}});
  return it == zygotes_.end() ? 0 : it->second.pid;
}

std::string ExecutorPool::zygote_report(std::uint32_t interpreter) const {
  const auto it = zygotes_.find({interpreter, {}});
  return it == zygotes_.end() ? std::string() : it->second.report;
}

pid_t ExecutorPool::executor_pid(ExecutorNo no) const {
  const auto it = executors_.find(number(no));
  return it == executors_.end() ? 0 : it->second.pid;
}

}  // namespace treadle::worker
