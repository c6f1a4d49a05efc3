// Targets, queries, header lists, routes, hosts: what is read out of a header.
#include "gateway/request.h"

#include <gtest/gtest.h>

#include "base/json_text.h"
#include "gateway/host_policy.h"
#include "gateway/router.h"

namespace treadle::gateway {
namespace {

Request with_target(std::string target) {
  Request request;
  request.target = std::move(target);
  return request;
}

TEST(Request, SplitsTargets) {
  Request request = with_target("/status/a%20b/?x=1&y=%41");
  EXPECT_TRUE(split_target(request));
  EXPECT_EQ(request.path, "/status/a b");
  EXPECT_EQ(request.query, "x=1&y=%41");
  request = with_target("/");
  EXPECT_TRUE(split_target(request));
  EXPECT_EQ(request.path, "/");
  request = with_target("http://box:80/livez");
  EXPECT_TRUE(split_target(request));
  EXPECT_EQ(request.path, "/livez");
  EXPECT_EQ(request.host, "box:80");
  for (const char* bad : {"", "livez", "/%", "/%4", "/%zz", "http://box?x"}) {
    request = with_target(bad);
    EXPECT_FALSE(split_target(request)) << bad;
  }
}

TEST(Request, FindsQueryValues) {
  EXPECT_EQ(query_value("wait=5", "wait"), "5");
  EXPECT_EQ(query_value("a=1&wait=%35+x&wait=9", "wait"), "5 x");
  EXPECT_EQ(query_value("wait", "wait"), "");
  EXPECT_EQ(query_value("waiting=5&&a", "wait"), std::nullopt);
  EXPECT_EQ(query_value("", "wait"), std::nullopt);
}

TEST(Request, ReadsAcceptLists) {
  EXPECT_TRUE(accepts("text/html,application/xml;q=0.9", "text/html"));
  EXPECT_TRUE(accepts("gzip, deflate", "gzip"));
  EXPECT_TRUE(accepts("br , GZIP;q=0.5", "gzip"));
  EXPECT_FALSE(accepts("gzip;q=0", "gzip"));
  EXPECT_FALSE(accepts("gzip; q=0.000", "gzip"));
  EXPECT_FALSE(accepts("x-gzip", "gzip"));
  EXPECT_FALSE(accepts("*/*", "text/html"));
  EXPECT_FALSE(accepts("", "gzip"));
}

TEST(Router, MatchesPatterns) {
  std::array<std::string_view, 2> params;
  EXPECT_TRUE(match_pattern("/status/{id}", "/status/7", params));
  EXPECT_EQ(params[0], "7");
  EXPECT_FALSE(match_pattern("/status/{id}", "/status/", params));
  EXPECT_FALSE(match_pattern("/status/{id}", "/status/7/8", params));
  EXPECT_FALSE(match_pattern("/status/{id}", "/statu", params));
  EXPECT_TRUE(match_pattern("/v1/tasks/{id}:cancel", "/v1/tasks/7:cancel", params));
  EXPECT_EQ(params[0], "7");
  EXPECT_FALSE(match_pattern("/v1/tasks/{id}:cancel", "/v1/tasks/7:retry", params));
  EXPECT_TRUE(match_pattern("/a/{x}/b/{y}", "/a/1/b/2", params));
  EXPECT_EQ(params[1], "2");
  EXPECT_FALSE(match_pattern("/docs", "/docs2", params));
}

TEST(Router, NamesEachRouteOnce) {
  const Router router(route_table());
  std::array<std::string_view, 2> params;
  for (const Route& route : route_table()) {
    for (const Route& other : route_table()) {
      EXPECT_TRUE(&route == &other || route.operation != other.operation) << route.operation;
    }
    EXPECT_EQ(router.find(route.method, route.pattern, params), &route) << route.pattern;
  }
}

TEST(HostPolicy, AllowsThisMachinesNamesOnlyInPublic) {
  GatewayConfig config;
  config.address = "0.0.0.0";
  const std::vector<std::string> names{"Box", "192.0.2.7", "fd00::7"};
  EXPECT_FALSE(HostPolicy(config, names).host_allowed("box:8000"));
  config.insecure_public = true;
  const HostPolicy open(config, names);
  for (const char* host : {"box:8000", "BOX", "192.0.2.7", "[fd00::7]:8000", "0.0.0.0:8000", "localhost"})
    EXPECT_TRUE(open.host_allowed(host)) << host;
  for (const char* host : {"box.evil.example", "192.0.2.70", "[fd00::71]", "", ":", "[", "]"})
    EXPECT_FALSE(open.host_allowed(host)) << host;
  EXPECT_FALSE(machine_names().empty());
}

TEST(HostPolicy, JudgesOrigins) {
  GatewayConfig config;
  config.allow_origins = {"https://app.example/"};
  const HostPolicy policy(config, {});
  using Origin = HostPolicy::Origin;
  EXPECT_EQ(policy.judge_origin("", "localhost"), Origin::Same);
  EXPECT_EQ(policy.judge_origin("http://localhost:8000", "localhost:8000"), Origin::Same);
  EXPECT_EQ(policy.judge_origin("http://localhost:3000", "localhost:8000"), Origin::Foreign);
  EXPECT_EQ(policy.judge_origin("null", "localhost"), Origin::Foreign);
  EXPECT_EQ(policy.judge_origin("https://APP.example", "localhost"), Origin::Allowed);
  config.allow_origins = {"*"};
  EXPECT_EQ(HostPolicy(config, {}).judge_origin("http://any.example", "localhost"), Origin::Allowed);
}

std::string json(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out;
}

TEST(JsonText, IsAlwaysJson) {
  EXPECT_EQ(json("a\"b\\c\n\r\t\x01\x7f"), R"("a\"b\\c\n\r\t\u0001\u007f")");
  EXPECT_EQ(json("h\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"), "\"h\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\"");
  const std::string mark = "\xef\xbf\xbd";
  EXPECT_EQ(json("\xff"), '"' + mark + '"');
  EXPECT_EQ(json("\xc0\xaf"), '"' + mark + mark + '"');             // overlong
  EXPECT_EQ(json("\xed\xa0\x80"), '"' + mark + mark + mark + '"');  // surrogate
  EXPECT_EQ(json("\xe2\x82"), '"' + mark + mark + '"');             // cut
}

TEST(Prefer, IsReadAsRfc7240Says) {
  EXPECT_EQ(preferred_wait(""), std::nullopt);
  EXPECT_EQ(preferred_wait("wait=10"), Duration(std::chrono::seconds(10)));
  EXPECT_EQ(preferred_wait("respond-async, wait=10"), Duration(std::chrono::seconds(10)));
  EXPECT_EQ(preferred_wait("Respond-Async; x=1"), Duration(0));
  EXPECT_EQ(preferred_wait("WAIT = \"7\" ;a=b"), Duration(std::chrono::seconds(7)));
  EXPECT_EQ(preferred_wait("wait=soon, handling=strict"), std::nullopt);
  EXPECT_EQ(preferred_wait("wait=-1"), std::nullopt);
  EXPECT_EQ(preferred_wait("wait="), std::nullopt);
  EXPECT_EQ(preferred_wait("wait=99999"), Duration(std::chrono::seconds(60)));
}

}  // namespace
}  // namespace treadle::gateway
