#include "gateway/request.h"

#include <algorithm>
#include <cctype>
#include <charconv>

#include "core/limits.h"

namespace treadle::gateway {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// False: a '%' without two hex digits after it.
bool percent_decode(std::string_view text, bool plus_is_space, std::string& out) {
  out.clear();
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%') {
      const int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
      const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
      if (high < 0 || low < 0) return false;
      out += static_cast<char>(high << 4 | low);
      i += 2;
    } else {
      out += plus_is_space && text[i] == '+' ? ' ' : text[i];
    }
  }
  return true;
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

// "q=0", "q=0.0", "q=0.000"
bool is_refused(std::string_view parameters) {
  const auto at = parameters.find("q=");
  if (at == std::string_view::npos) return false;
  const std::string_view value = trim(parameters.substr(at + 2));
  return !value.empty() && value.find_first_not_of("0.") == std::string_view::npos;
}

}  // namespace

std::string_view name_of(Method method) {
  switch (method) {
    case Method::Get: return "GET";
    case Method::Head: return "HEAD";
    case Method::Post: return "POST";
    case Method::Put: return "PUT";
    case Method::Patch: return "PATCH";
    case Method::Delete: return "DELETE";
    case Method::Options: return "OPTIONS";
    case Method::Other: break;
  }
  return "other";
}

void Request::clear() {
  method = Method::Other;
  for (std::string* text :
       {&target, &path, &query, &host, &origin, &accept, &accept_encoding, &content_encoding, &content_type,
        &if_none_match, &idempotency_key, &last_event_id, &prefer, &cors_method, &cors_headers})
    text->clear();
  params = {};
  hosts = 0;
  transfer_encoding = expect_continue = http10 = false;
  form = nullptr;
}

bool split_target(Request& request) {
  std::string_view target = request.target;
  if (target == "*") {
    request.path = "*";
    return true;
  }
  if (target.starts_with("http://") || target.starts_with("https://")) {  // as a proxy would be asked; its host counts
    target.remove_prefix(target.find("://") + 3);
    const auto end = target.find_first_of("/?");
    request.host = target.substr(0, end);
    request.hosts = 1;
    target = end == std::string_view::npos ? "/" : target.substr(end);
    if (target.front() == '?') return false;
  }
  if (target.empty() || target.front() != '/') return false;
  const auto mark = target.find('?');
  if (mark != std::string_view::npos) request.query = target.substr(mark + 1);
  if (!percent_decode(target.substr(0, mark), false, request.path)) return false;
  if (request.path.size() > 1 && request.path.back() == '/') request.path.pop_back();
  return true;
}

std::optional<Duration> preferred_wait(std::string_view prefer) {
  std::optional<Duration> found;
  while (!prefer.empty()) {
    const std::string_view item = prefer.substr(0, prefer.find(','));
    prefer.remove_prefix(std::min(item.size() + 1, prefer.size()));
    const std::string_view word = trim(item.substr(0, item.find(';')));
    const std::size_t equals = word.find('=');
    const std::string_view name = trim(word.substr(0, equals));
    if (equals == std::string_view::npos) {
      if (equals_ignoring_case(name, "respond-async") && !found) found = Duration(0);
      continue;
    }
    std::string_view digits = trim(word.substr(equals + 1));
    if (digits.size() > 1 && digits.front() == '"' && digits.back() == '"')
      digits = digits.substr(1, digits.size() - 2);
    std::uint32_t seconds = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), seconds);
    const bool number = !digits.empty() && error == std::errc() && end == digits.data() + digits.size();
    if (number && equals_ignoring_case(name, "wait"))
      return std::min<Duration>(std::chrono::seconds(seconds), core::limits::kMaxWait);
  }
  return found;
}

bool is_octet_stream(std::string_view content_type) {
  return equals_ignoring_case(trim(content_type.substr(0, content_type.find(';'))), "application/octet-stream");
}

bool is_v1(std::string_view path) { return path == "/v1" || path.starts_with("/v1/"); }

std::optional<std::string> query_value(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    const auto equals = pair.find('=');
    if (pair.substr(0, equals) == name) {
      std::string value;
      const auto text = equals == std::string_view::npos ? std::string_view{} : pair.substr(equals + 1);
      if (!percent_decode(text, true, value)) value = text;
      return value;
    }
    query.remove_prefix(std::min(pair.size() + 1, query.size()));
  }
  return std::nullopt;
}

bool accepts(std::string_view header, std::string_view token) {
  while (!header.empty()) {
    const std::string_view item = header.substr(0, header.find(','));
    const auto semicolon = item.find(';');
    if (equals_ignoring_case(trim(item.substr(0, semicolon)), token))
      return semicolon == std::string_view::npos || !is_refused(item.substr(semicolon));
    header.remove_prefix(std::min(item.size() + 1, header.size()));
  }
  return false;
}

}  // namespace treadle::gateway
