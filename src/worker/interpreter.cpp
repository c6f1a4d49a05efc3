#include "worker/interpreter.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "worker/fds.h"

namespace treadle::worker {
namespace {

namespace json = boost::json;

// Runs on anything that calls itself Python since 2.7, so that an old one can be named. The versions of dill and
// cloudpickle are read from the names of their metadata folders: importing dill takes 50 ms, and the zygote does it
// anyway.
constexpr char kQuestion[] = R"py(
import sys, os
sys.path[:] = [p for p in sys.path if p]
import json
def version_of(name):
    try:
        import importlib.util
        spec = importlib.util.find_spec(name)
        if spec is None or not spec.origin:
            return None
        folder = os.path.dirname(os.path.dirname(spec.origin))
        for item in os.listdir(folder):
            parts = item.split('-')
            if parts[0] == name and len(parts) > 1:
                return parts[1].replace('.dist', '').replace('.egg', '').replace('.info', '')
        return 'unknown'
    except Exception:
        return None
print(json.dumps({'version': list(sys.version_info[:3]), 'path': sys.executable, 'dill': version_of('dill'),
                  'cloudpickle': version_of('cloudpickle'),
                  'debian': sys.prefix == '/usr' and os.path.isdir('/usr/lib/python3/dist-packages')}))
)py";

// Puts the executor's source into its module. The parent has put it on descriptor 4.
constexpr char kStub[] = R"py(
import sys, os
sys.path[:] = [p for p in sys.path if p]
module = type(sys)('_treadle_executor')
sys.modules['_treadle_executor'] = module
source = os.pread(4, os.fstat(4).st_size, 0)
exec(compile(source, '<treadle executor>', 'exec'), module.__dict__)
module.zygote_main()
)py";

constexpr int kOldestMinor = 9;
constexpr char kOtherWay[] = ", or choose another one: --python /usr/bin/python3";

struct Asked {
  bool started = false;
  bool in_time = true;
  int status = 0;
  std::string output;
  std::string errors;
};

using Clock = std::chrono::steady_clock;

int milliseconds_until(Clock::time_point end) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now()).count();
  return left < 0 ? 0 : static_cast<int>(left) + 1;
}

bool append_from(int fd, std::string& to) {
  char bytes[4096];
  const ssize_t n = ::read(fd, bytes, sizeof bytes);
  if (n > 0 && to.size() < 64 * sizeof bytes) to.append(bytes, static_cast<std::size_t>(n));
  return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

void read_both(int output, int errors, Clock::time_point end, Asked& asked) {
  pollfd watched[2] = {{output, POLLIN, 0}, {errors, POLLIN, 0}};
  while (watched[0].fd >= 0 || watched[1].fd >= 0) {
    const int ready = ::poll(watched, 2, milliseconds_until(end));
    if (ready == 0) {
      asked.in_time = false;
      return;
    }
    if (ready < 0) continue;
    if (watched[0].revents && !append_from(output, asked.output)) watched[0].fd = -1;
    if (watched[1].revents && !append_from(errors, asked.errors)) watched[1].fd = -1;
  }
}

Asked ask(const std::string& python, Duration limit) {
  Asked asked;
  FdPair output = make_pipe();
  FdPair errors = make_pipe();
  if (!output.first || !errors.first) return asked;
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, output.second.get(), 1);
  ::posix_spawn_file_actions_adddup2(&actions, errors.second.get(), 2);
  std::string name = python, option = "-c", question = kQuestion;
  char* argv[] = {name.data(), option.data(), question.data(), nullptr};
  // Without PYTHONPATH: a user's json.py must not answer, and the zygote does not import from there either.
  std::vector<char*> env;
  for (char** item = environ; *item; ++item) {
    if (std::strncmp(*item, "PYTHONPATH=", 11) != 0) env.push_back(*item);
  }
  env.push_back(nullptr);
  pid_t pid = -1;
  asked.started = ::posix_spawnp(&pid, python.c_str(), &actions, nullptr, argv, env.data()) == 0;
  ::posix_spawn_file_actions_destroy(&actions);
  if (!asked.started) return asked;
  output.second.reset();
  errors.second.reset();
  read_both(output.first.get(), errors.first.get(), Clock::now() + limit, asked);
  if (!asked.in_time) ::kill(pid, SIGKILL);
  while (::waitpid(pid, &asked.status, 0) < 0 && errno == EINTR) {
  }
  return asked;
}

std::string last_line(std::string_view text) {
  while (!text.empty() && text.back() == '\n') text.remove_suffix(1);
  const std::size_t newline = text.rfind('\n');
  return std::string(newline == std::string_view::npos ? text : text.substr(newline + 1));
}

std::string text_or_empty(const json::value& value) {
  return value.is_string() ? std::string(value.get_string()) : std::string();
}

Result<InterpreterInfo> judge(const std::string& python, const json::value& answer) {
  InterpreterInfo info;
  const json::array& version = answer.at("version").as_array();
  info.major = version.at(0).to_number<int>();
  info.minor = version.at(1).to_number<int>();
  info.micro = version.at(2).to_number<int>();
  info.path = text_or_empty(answer.at("path"));
  info.dill = text_or_empty(answer.at("dill"));
  info.cloudpickle = text_or_empty(answer.at("cloudpickle"));
  if (info.path.empty()) info.path = python;
  if (info.major != 3 || info.minor < kOldestMinor) {
    return fail(Code::Invalid, info.path + " is Python " + info.version() + ", and Treadle needs 3." +
                                   std::to_string(kOldestMinor) +
                                   " or newer; choose another one: --python /usr/bin/python3");
  }
  if (info.dill.empty()) {
    const bool debian = answer.at("debian").as_bool();
    const std::string command = debian ? "apt-get install python3-dill" : info.path + " -m pip install dill";
    return fail(Code::Invalid, info.path + " (Python " + info.version() + ") has no dill; install it with `" + command +
                                   "`" + (debian ? "" : kOtherWay));
  }
  return info;
}

}  // namespace

std::string InterpreterInfo::version() const {
  return std::to_string(major) + "." + std::to_string(minor) + "." + std::to_string(micro);
}

Result<InterpreterInfo> ask_interpreter(const std::string& python, Duration limit) {
  const Asked asked = ask(python, limit);
  if (!asked.started) {
    return fail(Code::Invalid, "there is no Python interpreter `" + python +
                                   "`; install one with `apt-get install python3 python3-dill`" + kOtherWay);
  }
  if (!asked.in_time) {
    return fail(Code::Invalid, "`" + python + "` did not answer within " +
                                   std::to_string(std::chrono::duration_cast<std::chrono::seconds>(limit).count()) +
                                   " s when asked for its version; try it by hand" + kOtherWay);
  }
  try {
    return judge(python, json::parse(last_line(asked.output)));
  } catch (const std::exception&) {
    const std::string said = last_line(asked.errors.empty() ? asked.output : asked.errors);
    return fail(Code::Invalid, "`" + python + "` does not answer like Python" +
                                   (said.empty() ? "" : " (it said: " + said + ")") + "; name an interpreter of 3." +
                                   std::to_string(kOldestMinor) + " or newer" + kOtherWay);
  }
}

namespace {
constexpr std::string_view kOurs = "TREADLE_", kOfTests = "TREADLE_TEST_";  // the second mark what tests look for
}  // namespace

Environment current_environment() {
  Environment all;
  for (char** item = environ; *item; ++item) {
    char* equals = std::strchr(*item, '=');
    if (!equals) continue;
    std::string name(*item, equals);
    if (name.starts_with(kOurs) && !name.starts_with(kOfTests)) continue;
    all.emplace(std::move(name), std::string(equals + 1));
  }
  return all;
}

std::string zygote_spec(const ZygoteOptions& options, Environment environment, const std::string& cwd) {
  json::object config;
  config["preload"] = json::value_from(options.preload);
  config["paths"] = json::value_from(options.paths);
  if (!options.lock.empty()) config["lock"] = options.lock;
  if (const auto it = environment.find("PYTHONPATH"); it != environment.end()) {
    config["pythonpath"] = it->second;
    environment.erase(it);
  }
  for (const char* name : {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"}) {
    environment.try_emplace(name, std::to_string(options.threads_per_executor));
  }
  json::object spec;
  spec["argv"] = {options.python, "-c", kStub, json::serialize(config)};
  json::object& env = spec["env"].emplace_object();
  for (const auto& [name, value] : environment) env[name] = value;
  spec["cwd"] = cwd;
  return json::serialize(spec);
}

}  // namespace treadle::worker
