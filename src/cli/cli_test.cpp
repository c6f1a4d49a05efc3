#include <gtest/gtest.h>

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/cpus.h"
#include "cli/options.h"
#include "cli/port_owner.h"
#include "cli/running_service.h"

namespace treadle::cli {
namespace {

Options options(const Parsed& parsed) {
  EXPECT_TRUE(std::holds_alternative<Options>(parsed));
  return std::holds_alternative<Options>(parsed) ? std::get<Options>(parsed) : Options{};
}

void refused(const Parsed& parsed, const Arguments& arguments) {
  std::string all;
  for (const auto& argument : arguments) all += argument + " ";
  ASSERT_TRUE(std::holds_alternative<int>(parsed)) << all;
  EXPECT_EQ(std::get<int>(parsed), kExitUsage) << all;
}

TEST(Options, SeedSpellingsOfTheSlotsMeanTheSame) {
  for (const char* flag : {"-w", "--workers", "--worker", "--num_workers", "--num_worker_processors"}) {
    for (const auto& parsed : {parse_serve({"-m", "local", flag, "7", "-t", "1.5"}),
                               parse_dispatcher({"-m", "local", flag, "7", "-t", "1.5"})}) {
      EXPECT_EQ(options(parsed).executors.slots, 7) << flag;
      EXPECT_DOUBLE_EQ(options(parsed).dispatch.timeout_s, 1.5);
      EXPECT_TRUE(options(parsed).has_executors);
    }
  }
}

TEST(Options, SlotsAreTakenAndUnusedInPushAndPull) {
  for (const char* mode : {"push", "pull"}) {
    const Options o = options(parse_dispatcher({"-m", mode, "-p", "7001", "-w", "4"}));
    EXPECT_FALSE(o.has_executors);
    EXPECT_EQ(o.dispatch.port, 7001);
  }
}

TEST(Options, RolesHaveTheirParts) {
  const Options all = options(parse_serve({}));
  EXPECT_TRUE(all.has_gateway && all.has_dispatcher && all.has_executors);
  EXPECT_TRUE(all.store.store.empty());
  const Options http = options(parse_gateway({}));
  EXPECT_TRUE(http.has_gateway && !http.has_dispatcher && !http.has_executors);
  EXPECT_EQ(http.store.store, kDefaultRedis);
  const Options push = options(parse_serve({"-m", "push"}));
  EXPECT_TRUE(push.has_gateway && push.has_dispatcher && !push.has_executors);
  EXPECT_EQ(push.dispatch.port, kDispatcherPort);
}

TEST(Options, SeveralPythonsAndWhenTheirProcessesAreReplaced) {
  ::unsetenv("TREADLE_PYTHON");  // ./dev sets it
  const Options plain = options(parse_serve({}));
  EXPECT_EQ(plain.executors.pythons, std::vector<std::string>{"python3"});
  EXPECT_EQ(plain.executors.async_slots, 100u);
  EXPECT_EQ(plain.executors.tasks_each, 100'000u);
  EXPECT_DOUBLE_EQ(plain.executors.age_s, 24 * 3600);
  EXPECT_EQ(plain.executors.memory_each, -1);
  const Options o =
      options(parse_worker({"push", "4", "tcp://h:7001", "--python", "a", "--python", "b", "--executor-tasks", "5",
                            "--executor-age", "0", "--executor-memory", "0", "--async-slots", "1000"}));
  EXPECT_EQ(o.executors.async_slots, 1000u);
  EXPECT_EQ(o.executors.pythons, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(o.executors.tasks_each, 5u);
  EXPECT_DOUBLE_EQ(o.executors.age_s, 0);
  EXPECT_EQ(o.executors.memory_each, 0);
  EXPECT_EQ(std::get<int>(parse_serve({"--executor-memory", "-5"})), kExitUsage);
  EXPECT_EQ(std::get<int>(parse_serve({"--async-slots", "0"})), kExitUsage);
}

TEST(Options, WorkerTakesTheSeedsArgumentsAndFlags) {
  const Options seed = options(parse_worker({"push", "4", "tcp://localhost:7001"}));
  EXPECT_EQ(seed.dispatch.mode, core::Mode::Push);
  EXPECT_EQ(seed.executors.slots, 4);
  EXPECT_EQ(seed.dispatcher_endpoint, "tcp://localhost:7001");
  EXPECT_TRUE(seed.has_executors && !seed.has_dispatcher && !seed.has_gateway);
  const Options flags = options(parse_worker({"pull", "-H", "10.0.0.5", "-p", "7002", "-w", "3"}));
  EXPECT_EQ(flags.dispatch.mode, core::Mode::Pull);
  EXPECT_EQ(flags.executors.slots, 3);
  EXPECT_EQ(flags.dispatcher_endpoint, "tcp://10.0.0.5:7002");
}

TEST(Options, WrongFlagsModesAndValuesExitWithTwo) {
  for (const Arguments& wrong :
       {Arguments{"--nosuchflag"}, Arguments{"-m", "sideways"}, Arguments{"--port", "70000"}, Arguments{"-w", "0"},
        Arguments{"--durability", "maybe"}, Arguments{"--created-status", "204"}, Arguments{"--store", "redis"}}) {
    refused(parse_serve(wrong), wrong);
  }
  for (const Arguments& wrong : {Arguments{"-m", "push"}, Arguments{"-m", "pull"}, Arguments{"--store", "memory:"},
                                 Arguments{"-m", "push", "-p", "70000"}}) {
    refused(parse_dispatcher(wrong), wrong);
  }
  refused(parse_gateway({"--store", "memory:"}), {"gateway"});
  for (const Arguments& wrong :
       {Arguments{"4", "tcp://h:1"}, Arguments{"push", "4"}, Arguments{"push", "x", "tcp://h:1"},
        Arguments{"push", "0", "tcp://h:1"}, Arguments{"push", "4", "tcp://h"}, Arguments{"push", "4", "http://h:1"},
        Arguments{"push", "4", "tcp://h:99999"}, Arguments{"push", "4", "tcp://:1"}}) {
    refused(parse_worker(wrong), wrong);
  }
}

TEST(RunningService, SaysHowToAddWorkersToWhatRunsAlready) {
  const std::string push =
      running_service_hint(8000, R"({"status":"ready","mode":"push","workers_at":"tcp://127.0.0.1:7001"})");
  EXPECT_NE(push.find("treadle worker push 4 tcp://127.0.0.1:7001"), std::string::npos) << push;
  EXPECT_NE(running_service_hint(8000, R"({"mode":"local"})").find("in local mode"), std::string::npos);
  for (const char* other : {"", "<html>", "[]", "{}", R"({"mode":""})", R"({"mode":3})"})
    EXPECT_EQ(running_service_hint(8000, other), "") << other;
}

TEST(PortOwner, NamesThisProcessAndFindsAFreeNeighbour) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(listen(fd, 1), 0);
  socklen_t size = sizeof address;
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  const std::uint16_t port = ntohs(address.sin_port);
  EXPECT_NE(port_owner(port).find("pid " + std::to_string(getpid())), std::string::npos);
  if (port < 65000) {
    EXPECT_GT(next_free_port(port), port);
  }
  close(fd);
}

TEST(Cpus, AtLeastOneAndNoMoreThanTheMachineHas) {
  EXPECT_GE(usable_cpus(), 1);
  EXPECT_LE(usable_cpus(), sysconf(_SC_NPROCESSORS_ONLN));
}

}  // namespace
}  // namespace treadle::cli
