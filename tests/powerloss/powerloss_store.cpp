// powerloss_store write DIR [SYNCHRONOUS]: works on a strict store until it is killed, and says on stdout what was
// acknowledged: "s ID" a submit, "f ID" a finish. powerloss_store check DIR: reads "s ID" and "f ID" lines and prints
// those that the store broke.
#include <cstdio>
#include <cstring>
#include <iostream>
#include <string>

#include <unistd.h>

#include "runtime/system_clock.h"
#include "store/sqlite/sqlite_store.h"

namespace {

using namespace treadle;
using namespace treadle::store;

runtime::SystemClock system_clock;

std::unique_ptr<Store> open(const char* dir, const char* planted) {
  SqliteConfig config;
  config.dir = dir;
  config.durability = Durability::Strict;
  config.reserve_bytes = 64 << 10;
  config.planted_synchronous = planted;
  config.failure = [](core::ErrorKind, TaskId, const std::string&, const std::string&) { return core::Payload{}; };
  auto opened = open_sqlite(std::move(config), system_clock);
  if (!opened) {
    std::fprintf(stderr, "%s\n", opened.error().message.c_str());
    std::exit(3);
  }
  return std::move(*opened);
}

void say(char what, TaskId id) {
  const std::string line = std::string(1, what) + " " + to_string(id) + "\n";
  if (::write(1, line.data(), line.size()) < 0) std::_Exit(0);
}

// Every so often a payload that lives in a file of its own.
Buffer payload(std::uint64_t n) {
  return Buffer::of(std::string(n % 20 == 0 ? 300'000 : 100, static_cast<char>('a' + n % 26)));
}

int write_until_killed(const char* dir, const char* planted) {
  auto store = open(dir, planted);
  core::Function function;
  function.id = FunctionId(Uuid{1, 1});
  function.name = "f";
  function.digest.words[0] = 1;
  function.body.bytes = Buffer::of("body");
  store->put_function(function, [](auto) {});
  const SessionId session(Uuid{2, runtime::os_random()});
  store->open_session(session, "test", [](auto) {});
  std::uint64_t n = 0, call = 0;
  bool claiming = false;
  for (;;) {
    for (int i = 0; i < 3; ++i) {
      Submission s;
      s.id = TaskId(Uuid{runtime::os_random(), runtime::os_random()});
      s.function = function.id;
      s.args.bytes = payload(++n);
      const TaskId id = s.id;
      std::vector<Submission> batch;
      batch.push_back(std::move(s));
      store->submit(std::move(batch), [id](Result<std::vector<Result<SubmitAnswer>>> answer) {
        if (answer && (*answer)[0]) say('s', id);
      });
    }
    if (!claiming) {
      claiming = true;
      store->claim({session, ++call, {Token{runtime::os_random() | 1}, Token{runtime::os_random() | 1}}, {}, {}},
                   [&](Result<ClaimAnswer> answer) {
                     claiming = false;
                     for (const auto& attempt : answer->attempts) {
                       FinishItem item{attempt.task, attempt.token, {}};
                       item.outcome.result.bytes = payload(++n);
                       store->finish(session, {item}, [task = attempt.task](Result<std::vector<FinishAnswer>> done) {
                         if (done && (*done)[0] == FinishAnswer::Applied) say('f', task);
                       });
                     }
                   });
    }
    store->turn(system_clock.now());
    ::usleep(200);
    store->turn(system_clock.now());
  }
}

int check(const char* dir) {
  auto store = open(dir, "");
  std::string what, text;
  int broken = 0;
  while (std::cin >> what >> text) {
    bool answered = false;
    store->get({*TaskId::parse(text)}, true, [&](std::vector<Result<TaskView>> views) {
      answered = true;
      const bool kept =
          views[0] &&
          (what == "s" || (views[0]->state == core::TaskState::Completed && !views[0]->result.bytes.empty()));
      if (!kept) {
        ++broken;
        std::printf("%s %s\n", what.c_str(), text.c_str());
      }
    });
    while (!answered) {
      store->turn(system_clock.now());
      if (!answered) ::usleep(50);
    }
  }
  store->close();
  return broken == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc >= 3 && std::strcmp(argv[1], "write") == 0) return write_until_killed(argv[2], argc > 3 ? argv[3] : "");
  if (argc == 3 && std::strcmp(argv[1], "check") == 0) return check(argv[2]);
  std::fprintf(stderr, "powerloss_store write DIR [SYNCHRONOUS] | check DIR\n");
  return 2;
}
