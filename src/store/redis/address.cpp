#include "store/redis/address.h"

#include <charconv>
#include <optional>
#include <utility>

namespace treadle::store::redis {
namespace {

constexpr std::string_view kForms =
    "Write redis://host:6379/0, rediss://host:6380/0 for TLS, or unix:///path/to/redis.sock.";

// The parts of a broken URL are not repeated: any of them may be a piece of a password.
Error bad(std::string what) { return fail(Code::Invalid, "The address of Redis " + what + " " + std::string(kForms)); }

template <class Number>
std::optional<Number> number(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

Result<std::string> decoded(std::string_view text, const char* what) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    unsigned value = 0;
    const char* const digits = text.data() + i + 1;
    if (i + 2 >= text.size() || std::from_chars(digits, digits + 2, value, 16).ptr != digits + 2 || value == 0)
      return bad(std::string("has a '%' in its ") + what + " that no two hex digits follow (a plain % is %25).");
    out += static_cast<char>(value);
    i += 2;
  }
  return out;
}

// Cuts what stands before the mark at `at` off `text`, with the mark; nothing if there is no mark.
std::optional<std::string_view> cut(std::string_view& text, std::size_t at) {
  if (at == std::string_view::npos) return std::nullopt;
  const std::string_view head = text.substr(0, at);
  text.remove_prefix(at + 1);
  return head;
}

Result<void> read_credentials(std::string_view text, Address& address) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos)
    return bad("has a user without a password: write user:password@ or :password@ before the host.");
  TRY(address.user, decoded(text.substr(0, colon), "user"));
  TRY(address.password, decoded(text.substr(colon + 1), "password"));
  if (address.password.empty()) return bad("has an empty password before the '@'.");
  return {};
}

Result<void> read_database(std::string_view text, Address& address) {
  const auto database = number<int>(text);
  if (!database || *database < 0) return bad("names a database that is not a number from 0 up.");
  address.database = *database;
  return {};
}

Result<void> read_query(std::string_view query, Address& address) {
  while (!query.empty()) {
    const std::size_t end = query.find('&');
    const std::string_view item = query.substr(0, end);
    query = end == std::string_view::npos ? std::string_view() : query.substr(end + 1);
    const std::size_t equals = item.find('=');
    const std::string_view key = item.substr(0, equals);
    const std::string_view value = equals == std::string_view::npos ? std::string_view() : item.substr(equals + 1);
    if (key == "db" && address.kind == Address::Kind::Unix) {
      if (auto read = read_database(value, address); !read) return read;
    } else if (key == "ca" && address.kind == Address::Kind::Tls) {
      TRY(address.ca_file, decoded(value, "ca"));
      if (address.ca_file.empty()) return bad("has ?ca= without the name of a file.");
    } else {
      return bad("has a setting after the '?' that it cannot have: rediss:// knows ca=FILE, unix:// knows db=N.");
    }
  }
  return {};
}

// "host", "host:port", "[v6]:port"
Result<void> read_host(std::string_view text, Address& address) {
  std::string_view port;
  bool has_port = false;
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos) return bad("has a '[' without the ']' that ends an IPv6 address.");
    address.host = text.substr(1, end - 1);
    const std::string_view rest = text.substr(end + 1);
    if (!rest.empty() && rest[0] != ':') return bad("has text after the ']' of its host that is no ':port'.");
    has_port = !rest.empty();
    if (has_port) port = rest.substr(1);
  } else {
    const std::size_t colon = text.find(':');
    address.host = text.substr(0, colon);
    has_port = colon != std::string_view::npos;
    if (has_port) port = text.substr(colon + 1);
    if (port.find(':') != std::string_view::npos) return bad("has an IPv6 address without brackets: write [::1]:6379.");
  }
  if (address.host.empty()) return bad("names no host.");
  if (!has_port) return {};
  const auto value = number<std::uint16_t>(port);
  if (!value || *value == 0) return bad("has a port that is not a number from 1 to 65535.");
  address.port = *value;
  return {};
}

Result<void> read_unix(std::string_view rest, Address& address) {
  if (!rest.starts_with('/')) return bad("must name the socket by its full path after unix://.");
  TRY(address.path, decoded(rest, "path"));
  constexpr std::size_t kPathMax = 107;  // of sockaddr_un
  if (address.path.size() > kPathMax)
    return bad("has a socket path of " + std::to_string(address.path.size()) + " bytes; the system allows 107.");
  return {};
}

Result<void> read_tcp(std::string_view rest, Address& address) {
  const std::size_t slash = rest.find('/');
  if (auto read = read_host(rest.substr(0, slash), address); !read) return read;
  if (slash == std::string_view::npos || slash + 1 == rest.size()) return {};
  return read_database(rest.substr(slash + 1), address);
}

bool take_scheme(std::string_view& url, Address& address) {
  constexpr std::pair<std::string_view, Address::Kind> kSchemes[] = {
      {"redis://", Address::Kind::Tcp}, {"rediss://", Address::Kind::Tls}, {"unix://", Address::Kind::Unix}};
  for (const auto& [scheme, kind] : kSchemes) {
    if (!url.starts_with(scheme)) continue;
    url.remove_prefix(scheme.size());
    address.kind = kind;
    return true;
  }
  return false;
}

}  // namespace

Result<Address> parse_address(std::string_view url) {
  Address address;
  // No part may hold a NUL or a blank: most likely two words ran together in a file or a shell.
  for (const char c : url)
    if (static_cast<unsigned char>(c) <= ' ') return bad("has a blank or control character in it.");
  if (!take_scheme(url, address)) return bad("begins with none of redis://, rediss:// and unix://.");
  std::string_view rest = url.substr(0, url.find('?'));
  const std::string_view query = rest.size() == url.size() ? std::string_view() : url.substr(rest.size() + 1);
  // The path of a socket may hold an '@', so there the first that a path follows ends the password, else the last.
  const std::size_t at = address.kind == Address::Kind::Unix ? rest.find("@/") : rest.rfind('@');
  if (const auto credentials = rest.starts_with('/') ? std::nullopt : cut(rest, at))
    if (auto read = read_credentials(*credentials, address); !read) return read.error();
  auto read = address.kind == Address::Kind::Unix ? read_unix(rest, address) : read_tcp(rest, address);
  if (read) read = read_query(query, address);
  if (!read) return read.error();
  return address;
}

std::string Address::shown() const {
  const std::string who = user.empty() ? "" : user + "@";
  if (kind == Kind::Unix) return "unix://" + who + path + (database == 0 ? "" : "?db=" + std::to_string(database));
  const bool v6 = host.find(':') != std::string::npos;
  return (kind == Kind::Tls ? "rediss://" : "redis://") + who + (v6 ? "[" + host + "]" : host) + ":" +
         std::to_string(port) + "/" + std::to_string(database);
}

}  // namespace treadle::store::redis
