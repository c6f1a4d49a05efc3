#include "gateway/host_policy.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <memory>

namespace treadle::gateway {
namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](unsigned char c) { return std::tolower(c); });
  return out;
}

bool equals_lower(std::string_view text, std::string_view lower_case) {
  return std::equal(text.begin(), text.end(), lower_case.begin(), lower_case.end(),
                    [](unsigned char a, char b) { return std::tolower(a) == static_cast<unsigned char>(b); });
}

std::string bracketed(std::string_view address) {
  return address.find(':') == std::string_view::npos || address.starts_with('[') ? std::string(address)
                                                                                 : '[' + std::string(address) + ']';
}

std::string_view without_port(std::string_view host) {
  if (host.starts_with('[')) return host.substr(0, host.find(']') + 1);
  host = host.substr(0, host.find(':'));
  if (host.ends_with('.')) host.remove_suffix(1);  // the absolute form of a name
  return host;
}

std::string_view without_slash(std::string_view origin) {
  if (origin.ends_with('/')) origin.remove_suffix(1);
  return origin;
}

}  // namespace

HostPolicy::HostPolicy(const GatewayConfig& config, const std::vector<std::string>& own_names)
    : hosts_{"127.0.0.1", "localhost", "[::1]", lower(bracketed(config.address))} {
  for (const auto& name : config.allow_hosts) hosts_.push_back(lower(without_port(bracketed(name))));
  if (config.insecure_public)
    for (const auto& name : own_names) hosts_.push_back(lower(bracketed(name)));
  for (const auto& origin : config.allow_origins) {
    any_origin_ = any_origin_ || origin == "*";
    origins_.push_back(lower(without_slash(origin)));
  }
}

bool HostPolicy::host_allowed(std::string_view host) const {
  const std::string_view name = without_port(host);
  return std::any_of(hosts_.begin(), hosts_.end(), [&](const std::string& own) { return equals_lower(name, own); });
}

HostPolicy::Origin HostPolicy::judge_origin(std::string_view origin, std::string_view host) const {
  if (origin.empty()) return Origin::Same;
  for (const std::string_view scheme : {"http://", "https://"})  // https: a proxy in front of us ends TLS
    if (origin.starts_with(scheme) && equals_lower(origin.substr(scheme.size()), lower(host))) return Origin::Same;
  if (any_origin_) return Origin::Allowed;
  for (const auto& own : origins_)
    if (equals_lower(origin, own)) return Origin::Allowed;
  return Origin::Foreign;
}

std::vector<std::string> machine_names() {
  std::vector<std::string> names;
  std::array<char, 256> host{};
  if (gethostname(host.data(), host.size() - 1) == 0 && host[0] != '\0') {
    const std::string full = host.data();
    const std::string label = full.substr(0, full.find('.'));
    names.insert(names.end(), {full, label, label + ".local"});
  }
  ifaddrs* raw = nullptr;
  if (getifaddrs(&raw) != 0) return names;
  const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> all(raw, &freeifaddrs);
  for (const ifaddrs* at = all.get(); at != nullptr; at = at->ifa_next) {
    if (at->ifa_addr == nullptr) continue;
    std::array<char, INET6_ADDRSTRLEN> text{};
    const int family = at->ifa_addr->sa_family;
    const void* address = nullptr;
    if (family == AF_INET) address = &reinterpret_cast<const sockaddr_in*>(at->ifa_addr)->sin_addr;
    if (family == AF_INET6) address = &reinterpret_cast<const sockaddr_in6*>(at->ifa_addr)->sin6_addr;
    if (address != nullptr && inet_ntop(family, address, text.data(), text.size()) != nullptr)
      names.push_back(bracketed(text.data()));
  }
  return names;
}

}  // namespace treadle::gateway
