#include "store/redis/address.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

namespace treadle::store::redis {
namespace {

constexpr std::string_view kForms =
    "Write redis://host:6379/0, rediss://host:6380/0 for TLS, unix:///path/to/redis.sock, "
    "redis+sentinel://host:26379/master-name/0, or redis+cluster://host:6379.";

constexpr std::uint16_t kPort = 6379, kSentinelPort = 26379;
constexpr std::size_t kMaxPlaces = 64;

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
Result<Address::Place> read_place(std::string_view text, std::uint16_t usual_port) {
  Address::Place place{"", usual_port};
  std::string_view port;
  bool has_port = false;
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos) return bad("has a '[' without the ']' that ends an IPv6 address.");
    place.host = text.substr(1, end - 1);
    const std::string_view rest = text.substr(end + 1);
    if (!rest.empty() && rest[0] != ':') return bad("has text after the ']' of its host that is no ':port'.");
    has_port = !rest.empty();
    if (has_port) port = rest.substr(1);
  } else {
    const std::size_t colon = text.find(':');
    place.host = text.substr(0, colon);
    has_port = colon != std::string_view::npos;
    if (has_port) port = text.substr(colon + 1);
    if (port.find(':') != std::string_view::npos) return bad("has an IPv6 address without brackets: write [::1]:6379.");
  }
  if (place.host.empty()) return bad("names no host.");
  if (!has_port) return place;
  const auto value = number<std::uint16_t>(port);
  if (!value || *value == 0) return bad("has a port that is not a number from 1 to 65535.");
  place.port = *value;
  return place;
}

// One or several, with commas between.
Result<void> read_places(std::string_view text, Address& address) {
  const std::uint16_t usual_port = address.group == Address::Group::Sentinel ? kSentinelPort : kPort;
  std::vector<Address::Place> places;
  for (bool more = true; more;) {
    const std::size_t comma = text.find(',');
    more = comma != std::string_view::npos;
    TRY(Address::Place place, read_place(text.substr(0, comma), usual_port));
    if (std::find(places.begin(), places.end(), place) != places.end()) return bad("names one server twice.");
    places.push_back(std::move(place));
    if (more) text.remove_prefix(comma + 1);
  }
  if (places.size() > kMaxPlaces) return bad("names over " + std::to_string(kMaxPlaces) + " servers.");
  address.host = places[0].host;
  address.port = places[0].port;
  address.others.assign(places.begin() + 1, places.end());
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
  if (auto read = read_places(rest.substr(0, slash), address); !read) return read;
  std::string_view path = slash == std::string_view::npos ? std::string_view() : rest.substr(slash + 1);
  if (address.group == Address::Group::Sentinel) {
    const std::size_t end = std::min(path.find('/'), path.size());
    TRY(address.master_name, decoded(path.substr(0, end), "master's name"));
    if (address.master_name.empty())
      return bad("names no master after its Sentinels: redis+sentinel://host:26379/master-name/0.");
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  if (path.empty()) return {};
  if (address.group == Address::Group::Cluster && path != "0")
    return bad("names a database, of which a cluster has only one: 0.");
  return read_database(path, address);
}

bool take_scheme(std::string_view& url, Address& address) {
  using Kind = Address::Kind;
  using Group = Address::Group;
  struct Scheme {
    std::string_view text;
    Kind kind;
    Group group;
  };
  constexpr Scheme kSchemes[] = {
      {"redis://", Kind::Tcp, Group::Servers},         {"rediss://", Kind::Tls, Group::Servers},
      {"unix://", Kind::Unix, Group::Servers},         {"redis+sentinel://", Kind::Tcp, Group::Sentinel},
      {"redis+cluster://", Kind::Tcp, Group::Cluster}, {"rediss+cluster://", Kind::Tls, Group::Cluster}};
  for (const Scheme& scheme : kSchemes) {
    if (!url.starts_with(scheme.text)) continue;
    url.remove_prefix(scheme.text.size());
    address.kind = scheme.kind;
    address.group = scheme.group;
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
  if (!take_scheme(url, address))
    return bad("begins with none of redis://, rediss://, unix://, redis+sentinel:// and redis+cluster://.");
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
  const std::string more = group == Group::Sentinel ? "+sentinel" : group == Group::Cluster ? "+cluster" : "";
  std::string where;
  for (const Place& place : places()) {
    const bool v6 = place.host.find(':') != std::string::npos;
    where += (where.empty() ? "" : ",") + (v6 ? "[" + place.host + "]" : place.host) + ":" + std::to_string(place.port);
  }
  if (group == Group::Sentinel) where += "/" + master_name;
  return (kind == Kind::Tls ? "rediss" : "redis") + more + "://" + who + where + "/" + std::to_string(database);
}

std::vector<Address::Place> Address::places() const {
  std::vector<Place> all{{host, port}};
  all.insert(all.end(), others.begin(), others.end());
  return all;
}

Address Address::at(const Place& place) const {
  Address one = *this;
  one.group = Group::Servers;
  one.host = place.host;
  one.port = place.port;
  one.others.clear();
  one.master_name.clear();
  return one;
}

std::vector<Address> Address::each() const {
  if (group == Group::Sentinel || kind == Kind::Unix) return {*this};
  std::vector<Address> all;
  for (const Place& place : places()) all.push_back(at(place));
  return all;
}

}  // namespace treadle::store::redis
