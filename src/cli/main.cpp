// The composition root: one binary for every role. `treadle VERB`, or, by the name it is called with, the seed's
// programs.
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <optional>

#include "base/did_you_mean.h"
#include "cli/client_verbs.h"
#include "cli/commands.h"
#include "worker/guard.h"

namespace treadle::cli {
namespace {

void print_verb(std::string_view name, std::string_view summary) {
  std::printf("  %-12.*s %.*s\n", static_cast<int>(name.size()), name.data(), static_cast<int>(summary.size()),
              summary.data());
}

void print_help() {
  std::printf(
      "Treadle runs Python functions as a service.\n\n"
      "  treadle serve                 everything in one process on 127.0.0.1:8000\n"
      "  treadle serve -w 4 -t 60      four slots, one minute for each task\n"
      "  treadle run work.py::area 2   a function of a file, there\n"
      "  treadle VERB --help           what a verb does and takes\n\nThe service:\n");
  for (const Command& command : commands()) print_verb(command.name, command.summary);
  std::printf("\nFor its clients:\n");
  for (const ClientVerb& verb : client_verbs()) print_verb(verb.name, verb.summary);
}

// The seed's programs, as symbolic links to this binary, are verbs too.
std::optional<Arguments> words_of_program(const std::string& program) {
  if (program == "task_dispatcher") return Arguments{"dispatcher"};
  if (program == "push_worker") return Arguments{"worker", "push"};
  if (program == "pull_worker") return Arguments{"worker", "pull"};
  return std::nullopt;
}

int run_verb(const std::string& verb, const Arguments& arguments) {
  for (const Command& command : commands()) {
    if (command.name == verb) return command.run(arguments);
  }
  for (const ClientVerb& client : client_verbs()) {
    if (client.name == verb) return hand_over(verb, arguments);
  }
  std::vector<std::string_view> names;
  for (const Command& command : commands()) names.push_back(command.name);
  for (const ClientVerb& client : client_verbs()) names.push_back(client.name);
  std::string all;
  for (const std::string_view name : names) all += (all.empty() ? "" : ", ") + std::string(name);
  const std::string guess(did_you_mean(verb, names));
  std::fprintf(stderr, "treadle: there is no verb '%s'%s. There are: %s. See treadle --help.\n", verb.c_str(),
               guess.empty() ? "" : ("; did you mean '" + guess + "'").c_str(), all.c_str());
  return kExitUsage;
}

}  // namespace
}  // namespace treadle::cli

int main(int argc, char** argv) {
  using namespace treadle::cli;
  std::signal(SIGPIPE, SIG_IGN);
  Arguments all(argv + 1, argv + argc);
  if (const auto words = words_of_program(std::filesystem::path(argv[0]).filename().string()))
    all.insert(all.begin(), words->begin(), words->end());
  if (all.empty() || all[0] == "--help" || all[0] == "-h" || all[0] == "help") {
    print_help();
    return all.empty() ? kExitUsage : 0;
  }
  if (all[0] == "--guard") return treadle::worker::run_guard();
  if (all[0] == "--version") return run_verb("version", {});
  return run_verb(all[0], Arguments(all.begin() + 1, all.end()));
}
