#include "gateway/time_text.h"

#include <array>
#include <cstdio>
#include <ctime>

namespace treadle::gateway {

std::string rfc3339(WallMs time) {
  const std::time_t seconds = time.ms / 1000;
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  std::array<char, 80> text;
  const int length =
      std::snprintf(text.data(), text.size(), "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", utc.tm_year + 1900, utc.tm_mon + 1,
                    utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, static_cast<int>(time.ms % 1000));
  return {text.data(), static_cast<std::size_t>(length)};
}

}  // namespace treadle::gateway
