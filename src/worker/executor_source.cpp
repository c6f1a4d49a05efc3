#include "worker/executor_source.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

extern "C" {
extern const char treadle_executor_begin[];
extern const char treadle_executor_end[];
}

namespace treadle::worker {
namespace {

std::string contents(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

// As CMakeLists.txt does it: by the number in the first line, "Part 1 of 7".
std::string join_parts(const std::filesystem::path& folder) {
  std::map<int, std::string> parts;
  for (const auto& item : std::filesystem::directory_iterator(folder)) {
    if (item.path().extension() != ".py") continue;
    std::string text = contents(item.path());
    const std::size_t part = text.substr(0, text.find('\n')).find("Part ");
    if (part != std::string::npos) parts[std::atoi(text.c_str() + part + 5)] = std::move(text);
  }
  std::string all;
  for (const auto& [number, text] : parts) all += text;
  return all;
}

}  // namespace

std::string_view embedded_executor_source() {
  return {treadle_executor_begin, static_cast<std::size_t>(treadle_executor_end - treadle_executor_begin)};
}

Result<std::string> executor_source() {
  const char* path = std::getenv("TREADLE_EXECUTOR");
  if (!path || !*path) return std::string(embedded_executor_source());
  std::error_code ignored;
  std::string text = std::filesystem::is_directory(path, ignored) ? join_parts(path) : contents(path);
  if (text.empty()) {
    return fail(Code::Invalid, std::string("TREADLE_EXECUTOR names ") + path + ", which cannot be read; unset it");
  }
  return text;
}

}  // namespace treadle::worker
