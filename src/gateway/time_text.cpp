#include "gateway/time_text.h"

#include <array>
#include <charconv>
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

std::optional<WallMs> parse_rfc3339(std::string_view text) {
  const auto number = [&text](std::size_t digits) {
    int value = -1;
    if (text.size() < digits) return value;
    const auto [end, error] = std::from_chars(text.data(), text.data() + digits, value);
    if (error != std::errc() || end != text.data() + digits) return -1;
    text.remove_prefix(digits);
    return value;
  };
  const auto sign = [&text](std::string_view any_of) {
    const bool there = !text.empty() && any_of.find(text.front()) != std::string_view::npos;
    if (there) text.remove_prefix(1);
    return there;
  };
  std::tm utc{};
  const int year = number(4), month = sign("-") ? number(2) : -1, day = sign("-") ? number(2) : -1;
  const int hour = sign("Tt ") ? number(2) : -1, minute = sign(":") ? number(2) : -1;
  const int second = sign(":") ? number(2) : -1;
  const bool date_sound = year >= 1 && month >= 1 && month <= 12 && day >= 1 && day <= 31;
  if (!date_sound || hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60)
    return std::nullopt;
  std::int64_t ms = 0;
  if (sign(".")) {
    std::int64_t unit = 100;
    const std::size_t before = text.size();
    for (; !text.empty() && text.front() >= '0' && text.front() <= '9'; unit /= 10, text.remove_prefix(1))
      ms += unit * (text.front() - '0');
    if (text.size() == before) return std::nullopt;
  }
  std::int64_t offset_minutes = 0;
  if (!sign("Zz")) {
    const bool west = !text.empty() && text.front() == '-';
    const int hours = sign("+-") ? number(2) : -1, minutes = sign(":") ? number(2) : -1;
    if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59) return std::nullopt;
    offset_minutes = (west ? -1 : 1) * (hours * 60 + minutes);
  }
  if (!text.empty()) return std::nullopt;
  utc.tm_year = year - 1900;
  utc.tm_mon = month - 1;
  utc.tm_mday = day;
  utc.tm_hour = hour;
  utc.tm_min = minute;
  utc.tm_sec = second;
  const std::int64_t seconds = timegm(&utc);
  if (utc.tm_mday != day) return std::nullopt;  // 30 February
  return WallMs{(seconds - offset_minutes * 60) * 1000 + ms};
}

}  // namespace treadle::gateway
