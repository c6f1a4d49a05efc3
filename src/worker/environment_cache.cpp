#include "worker/environment_cache.h"

#include <sys/stat.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <cstdlib>
#include <utility>

#include "base/sha256.h"

namespace treadle::worker {
namespace {

namespace json = boost::json;

constexpr std::size_t kNameLength = 32;  // hex digits
constexpr char kForm[] = "1";            // of what is built; another one makes other names

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

bool is_ours_alone(const std::string& folder) {
  struct stat found {};
  return ::stat(folder.c_str(), &found) == 0 && found.st_uid == ::geteuid() && (found.st_mode & 022) == 0;
}

}  // namespace

std::string default_environment_cache() {
  if (const std::string cache = variable("XDG_CACHE_HOME"); cache.starts_with('/'))
    return cache + "/treadle/environments";
  if (const std::string home = variable("HOME"); home.starts_with('/')) return home + "/.cache/treadle/environments";
  return "/tmp/treadle-environments-" + std::to_string(::getuid());
}

EnvironmentCache::EnvironmentCache(EnvironmentOptions options) : options_(std::move(options)) {
  if (options_.cache.empty()) options_.cache = default_environment_cache();
}

std::string EnvironmentCache::name_of(const ZygoteOptions& interpreter, const std::string& requirements) const {
  std::string all;
  for (const std::string& part : {std::string(kForm), interpreter.python, interpreter.version, options_.wheelhouse})
    all += part + '\n';
  return to_string(sha256(all + requirements)).substr(0, kNameLength);
}

bool EnvironmentCache::is_there(const std::string& name) const {
  return is_ours_alone(options_.cache) && ::access((folder_of(name) + ".json").c_str(), R_OK) == 0 &&
         ::access(python_of(name).c_str(), X_OK) == 0;
}

std::string EnvironmentCache::job(const std::string& name, const std::string& requirements) const {
  return json::serialize(json::object{{"cache", options_.cache},
                                      {"name", name},
                                      {"requirements", json::parse(requirements)},
                                      {"wheelhouse", options_.wheelhouse},
                                      {"most_bytes", options_.most_bytes}});
}

}  // namespace treadle::worker
