#include "cli/client_verbs.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>

namespace treadle::cli {
namespace {

// What a Python without our package or without cloudpickle says, instead of a traceback.
constexpr const char* kProgram = R"py(import sys
def refuse(what):
    print(f"treadle: {sys.executable} {what}. Name another Python by TREADLE_PYTHON, or install it there.", file=sys.stderr)
    sys.exit(2)
if sys.version_info < (3, 9):
    refuse("is older than 3.9")
try:
    import cloudpickle
except ImportError:
    refuse("has no cloudpickle, which sends functions (Debian: python3-cloudpickle; pip install cloudpickle)")
try:
    from treadle.cli import main
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "treadle":
        raise
    refuse("has no package treadle (pip install . in the sources)")
sys.exit(main(sys.argv[1:]))
)py";

std::string own_folder() {
  std::error_code none;
  return std::filesystem::read_symlink("/proc/self/exe", none).parent_path().string();
}

void show_package() {
  const std::string folder = package_folder(own_folder());
  if (folder.empty()) return;
  const char* old = std::getenv("PYTHONPATH");
  const std::string path = old && *old ? folder + ":" + old : folder;
  ::setenv("PYTHONPATH", path.c_str(), 1);
}

}  // namespace

const std::vector<ClientVerb>& client_verbs() {
  static const std::vector<ClientVerb> table = {
      {"run", "run a function of a file: run work.py::area 2.5"},
      {"map", "run a function for each line of a file or of stdin"},
      {"invoke", "call a function of the server with JSON arguments"},
      {"fn", "functions: register, ls, show, versions, rm"},
      {"task", "tasks: ls, show, wait, result, logs, cancel"},
      {"workers", "who runs tasks"},
      {"queue", "how much waits, runs and has ended"},
      {"top", "queue, workers and the newest tasks, again and again"},
      {"doctor", "look for what is wrong: Python, server, workers"},
      {"config", "what a client would use, and why"},
      {"bench", "measure the server"},
      {"completion", "the words of treadle for bash, zsh or fish"},
  };
  return table;
}

std::string package_folder(const std::string& folder) {
  for (const char* place : {"/../python", "/../share/treadle/python"}) {
    std::error_code none;
    const std::filesystem::path found = std::filesystem::weakly_canonical(folder + place, none);
    if (!none && std::filesystem::exists(found / "treadle" / "cli", none)) return found.string();
  }
  return "";
}

int hand_over(const std::string& verb, const Arguments& arguments) {
  const char* chosen = std::getenv("TREADLE_PYTHON");
  const std::string python = chosen && *chosen ? chosen : "python3";
  show_package();
  std::vector<std::string> words{python, "-c", kProgram, verb};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  ::execvp(python.c_str(), argv.data());
  std::fprintf(stderr, "treadle: '%s' needs Python, and %s cannot be run: %s. Name one by TREADLE_PYTHON.\n",
               verb.c_str(), python.c_str(), std::strerror(errno));
  return kExitUsage;
}

}  // namespace treadle::cli
