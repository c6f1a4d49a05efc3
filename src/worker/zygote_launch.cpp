#include "worker/zygote_launch.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <cerrno>
#include <cstring>
#include <vector>

namespace treadle::worker {
namespace {

namespace json = boost::json;

constexpr int kZygoteSocket = 3;
constexpr int kZygoteSource = 4;
constexpr int kFirstFreeFd = 10;  // descriptors are moved above it first, so that none is overwritten before its turn
constexpr char kExecutorOomScore[] = "500";  // the host's memory killer takes executors before the supervisor

struct Spec {
  std::vector<std::string> argv;
  std::vector<std::string> env;  // NAME=value
  std::string cwd;
};

Result<Spec> parse_spec(std::string_view text) {
  try {
    json::parse_options options;
    options.allow_invalid_utf8 = true;  // an environment may hold any bytes
    const json::value root = json::parse(json::string_view(text.data(), text.size()), {}, options);
    Spec spec;
    for (const json::value& item : root.at("argv").as_array()) spec.argv.push_back(json::value_to<std::string>(item));
    for (const auto& [name, value] : root.at("env").as_object()) {
      spec.env.push_back(std::string(name) + "=" + json::value_to<std::string>(value));
    }
    spec.cwd = json::value_to<std::string>(root.at("cwd"));
    if (spec.argv.empty()) return fail(Code::Invalid, "the zygote's argv is empty");
    return spec;
  } catch (const std::exception& e) {
    return fail(Code::Invalid, std::string("the zygote's description cannot be read: ") + e.what());
  }
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> all;
  for (std::string& text : texts) all.push_back(text.data());
  all.push_back(nullptr);
  return all;
}

void reset_signals() {
  for (int number = 1; number < NSIG; ++number) ::signal(number, SIG_DFL);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

void raise_oom_score() {
  const int fd = ::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (fd < 0) return;
  if (::write(fd, kExecutorOomScore, sizeof kExecutorOomScore - 1) < 0) {
    // Some containers forbid it; then the host chooses by size alone.
  }
  ::close(fd);
}

struct Inheritance {
  int socket, source, null, errors;
  int niceness;
};

// In the child, after fork from a process with one thread. Does not return.
[[noreturn]] void become_zygote(const Spec& spec, char* const* argv, char* const* env, const Inheritance& given,
                                pid_t guard) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != guard) ::_exit(126);
  const int socket = ::fcntl(given.socket, F_DUPFD_CLOEXEC, kFirstFreeFd);
  const int source = ::fcntl(given.source, F_DUPFD_CLOEXEC, kFirstFreeFd);
  const int errors = ::fcntl(given.errors, F_DUPFD_CLOEXEC, kFirstFreeFd);
  ::dup2(given.null, 0);
  ::dup2(given.null, 1);
  ::dup2(errors, 2);
  ::dup2(socket, kZygoteSocket);
  ::dup2(source, kZygoteSource);
  ::close_range(kZygoteSource + 1, ~0u, CLOSE_RANGE_CLOEXEC);
  reset_signals();
  raise_oom_score();
  ::setpriority(PRIO_PROCESS, 0, given.niceness);
  if (!spec.cwd.empty() && ::chdir(spec.cwd.c_str()) != 0) {
    ::dprintf(2, "cannot change to the directory %s: %s\n", spec.cwd.c_str(), std::strerror(errno));
    ::_exit(127);
  }
  ::execvpe(argv[0], argv, env);
  ::dprintf(2, "cannot execute %s: %s\n", argv[0], std::strerror(errno));
  ::_exit(127);
}

}  // namespace

Result<LaunchedZygote> launch_zygote(std::string_view text, int source, int niceness) {
  TRY(Spec spec, parse_spec(text));
  FdPair sockets = make_socket_pair(SOCK_SEQPACKET);
  FdPair errors = make_pipe();
  UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!sockets.first || !errors.first || !null) {
    return fail(Code::Internal, std::string("no descriptors for a zygote: ") + std::strerror(errno));
  }
  const std::vector<char*> argv = pointers(spec.argv);
  const std::vector<char*> env = pointers(spec.env);
  const pid_t guard = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return fail(Code::Internal, std::string("cannot fork a zygote: ") + std::strerror(errno));
  if (pid == 0) {
    become_zygote(spec, argv.data(), env.data(),
                  {sockets.second.get(), source, null.get(), errors.second.get(), niceness}, guard);
  }
  return LaunchedZygote{pid, std::move(sockets.first), std::move(errors.first)};
}

}  // namespace treadle::worker
