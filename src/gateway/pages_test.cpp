// The description, the metrics and the files of the pages.
#include <set>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/json.hpp>

#include "gateway/assets.h"
#include "gateway/metrics.h"
#include "gateway/plain_docs.h"
#include "gateway/routes.h"
#include "gateway/testing.h"

namespace treadle::gateway {
namespace {

using namespace testing;
using ::testing::HasSubstr;
namespace json = boost::json;

// Follows every $ref; fails the test for one that leads nowhere.
void check_references(const json::value& at, const json::object& schemas) {
  if (const auto* object = at.if_object()) {
    if (const auto* ref = object->if_contains("$ref")) {
      const std::string name = std::string(ref->as_string()).substr(std::string("#/components/schemas/").size());
      EXPECT_TRUE(schemas.contains(name)) << name;
    }
    for (const auto& [key, value] : *object) check_references(value, schemas);
  } else if (const auto* array = at.if_array()) {
    for (const auto& value : *array) check_references(value, schemas);
  }
}

TEST(OpenApi, DescribesEveryRouteThatIsNotHidden) {
  Running server;
  const json::object document = json::parse(Client(server.port()).get("/openapi.json").body).as_object();
  EXPECT_EQ(document.at("openapi"), "3.1.0");
  EXPECT_EQ(document.at("info").at("version"), "0.1.0");
  const json::object& schemas = document.at("components").at("schemas").as_object();
  check_references(document, schemas);
  for (const auto& [name, schema] : schemas) {
    const json::value& example = schema.at("examples").at(0);
    for (const auto& required : schema.at("required").as_array())
      EXPECT_TRUE(example.as_object().contains(required.as_string())) << name;
    for (const auto& [key, value] : example.as_object())
      EXPECT_TRUE(schema.at("properties").as_object().contains(key)) << name << key;
  }
  std::set<std::string_view> shown;
  for (const Route& route : route_table()) {
    if (route.hidden) continue;
    shown.insert(route.pattern);
    std::string method(name_of(route.method));
    for (char& c : method) c = static_cast<char>(c | 0x20);
    const json::value& operation = document.at("paths").at(std::string(route.pattern)).at(method);
    EXPECT_EQ(operation.at("operationId").as_string(), std::string(route.operation));
    EXPECT_TRUE(operation.at("responses").as_object().contains(std::to_string(route.success)));
    for (const int status : route.statuses) {
      if (status == 0) break;
      EXPECT_TRUE(operation.at("responses").as_object().contains(std::to_string(status))) << route.pattern << status;
    }
    EXPECT_EQ(route.form != nullptr, operation.as_object().contains("requestBody")) << route.pattern;
  }
  EXPECT_EQ(document.at("paths").as_object().size(), shown.size());
}

TEST(OpenApi, ShowsTheStatusThatCreatingAnswers) {
  GatewayConfig config;
  config.created_status = 201;
  Running server(config);
  const json::value document = json::parse(Client(server.port()).get("/openapi.json").body);
  EXPECT_TRUE(document.at("paths").at("/execute_function").at("post").at("responses").as_object().contains("201"));
}

// Every sample line by its name and labels; fails the test for a line that is not of the text format.
std::map<std::string, double> parse_metrics(const std::string& text) {
  std::map<std::string, double> out;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("# HELP ") || line.starts_with("# TYPE ")) continue;
    const auto space = line.rfind(' ');
    EXPECT_NE(space, std::string::npos) << line;
    std::size_t used = 0;
    const std::string number = line.substr(space + 1);
    const double value = std::stod(number, &used);
    EXPECT_EQ(used, number.size()) << line;
    EXPECT_TRUE(out.emplace(line.substr(0, space), value).second) << "twice: " << line;
  }
  return out;
}

TEST(Metrics, AreTheTextFormatAndCount) {
  Running server;
  server.on_loop([&] {
    server.store.figures.submitted = 7;
    server.store.figures.completed = 5;
    server.store.figures.failed = 1;
    server.store.figures.queued = 2;
    server.store.figures.claimed = 3;
    server.store.figures.running = 4;
    server.store.figures.stale = 8;
    server.store.figures.duplicate = 9;
  });
  Client client(server.port());
  for (int i = 0; i < 3; ++i) client.get("/status/17");
  client.get("/nowhere");
  const Answer answer = client.get("/metrics");
  EXPECT_EQ(answer.header("Content-Type"), "text/plain; version=0.0.4; charset=utf-8");
  auto figures = parse_metrics(answer.body);
  EXPECT_EQ(figures.at("treadle_tasks_submitted_total"), 7);
  EXPECT_EQ(figures.at("treadle_tasks_finished_total{state=\"COMPLETED\"}"), 5);
  EXPECT_EQ(figures.at("treadle_tasks_finished_total{state=\"FAILED\"}"), 1);
  EXPECT_EQ(figures.at("treadle_tasks_queued"), 5);
  EXPECT_EQ(figures.at("treadle_tasks_running"), 4);
  EXPECT_EQ(figures.at("treadle_slots"), 4);
  EXPECT_EQ(figures.at("treadle_slots_free"), 3);
  EXPECT_EQ(figures.at("treadle_outcomes_refused_total{reason=\"stale\"}"), 8);
  EXPECT_EQ(figures.at("treadle_outcomes_refused_total{reason=\"duplicate\"}"), 9);
  EXPECT_EQ(figures.at("treadle_http_connections"), 1);
  EXPECT_GT(figures.at("process_resident_memory_bytes"), 1e6);
  EXPECT_GT(figures.at("treadle_uptime_seconds"), 0);
  const std::string series = "treadle_http_request_seconds";
  EXPECT_EQ(figures.at(series + "_count{route=\"/status/{task_id}\",code=\"400\"}"), 3);
  EXPECT_EQ(figures.at(series + "_count{route=\"none\",code=\"404\"}"), 1);
  EXPECT_EQ(figures.at(series + "_bucket{route=\"/status/{task_id}\",code=\"400\",le=\"60\"}"), 3);
  EXPECT_EQ(figures.at(series + "_bucket{route=\"/status/{task_id}\",code=\"400\",le=\"+Inf\"}"), 3);
}

TEST(Metrics, PutEachTimeIntoItsBucket) {
  Metrics metrics({"/a"});
  metrics.observe(0, 200, 100us);
  metrics.observe(0, 200, 700us);
  metrics.observe(0, 200, 100s);
  auto figures = parse_metrics(metrics.text({}));
  const auto bucket = [&](const std::string& le) {
    return figures.at("treadle_http_request_seconds_bucket{route=\"/a\",code=\"200\",le=\"" + le + "\"}");
  };
  EXPECT_EQ(bucket("0.00025"), 1);
  EXPECT_EQ(bucket("0.0005"), 1);
  EXPECT_EQ(bucket("0.001"), 2);
  EXPECT_EQ(bucket("60"), 2);
  EXPECT_EQ(bucket("+Inf"), 3);
}

TEST(Assets, AreServedZippedOrPlainAndOnce) {
  Running server;
  Client client(server.port());
  const Answer zipped = client.get("/assets/home.js", "Accept-Encoding: br, gzip\r\n");
  EXPECT_EQ(zipped.header("Content-Encoding"), "gzip");
  EXPECT_EQ(zipped.header("Content-Type"), "text/javascript; charset=utf-8");
  const Answer plain = client.get("/assets/home.js");
  EXPECT_EQ(plain.header("Content-Encoding"), "");
  EXPECT_THAT(plain.body, HasSubstr("fetch(\"/readyz\")"));
  EXPECT_LT(zipped.body.size(), plain.body.size());
  EXPECT_NE(zipped.header("ETag"), plain.header("ETag"));
  const Answer same = client.get("/assets/home.js", "If-None-Match: " + plain.header("ETag") + "\r\n");
  EXPECT_EQ(same.status, 304);
  EXPECT_EQ(same.body, "");
  EXPECT_EQ(client.get("/assets/../etc/passwd").status, 404);
  EXPECT_EQ(client.get("/assets/none.js").status, 404);
}

// Pages may only name what is inside the program.
TEST(Assets, PagesNameOnlyWhatIsInside) {
  Running server;
  Client client(server.port());
  for (const std::string page : {"/", "/docs"}) {
    const Answer answer = client.get(page, "Accept: text/html\r\n");
    EXPECT_EQ(answer.status, 200);
    EXPECT_THAT(answer.header("Content-Security-Policy"), HasSubstr("default-src 'none'; script-src 'self'"));
    for (const std::string mark : {"src=\"", "href=\""}) {
      for (auto at = answer.body.find(mark); at != std::string::npos; at = answer.body.find(mark, at + 1)) {
        const std::string target =
            answer.body.substr(at + mark.size(), answer.body.find('"', at + mark.size()) - at - mark.size());
        EXPECT_EQ(client.get(target).status, 200) << page << " -> " << target;
      }
    }
  }
}

TEST(Assets, SayWhichDocsPageIsInside) {
  Running server;
  Client client(server.port());
  const std::string docs = member(client.get("/version").body, "docs");
  EXPECT_EQ(docs, has_swagger_ui() ? "swagger-ui" : "plain");
  EXPECT_THAT(client.get("/docs/").body,
              HasSubstr(has_swagger_ui() ? "/assets/swagger-ui-bundle.js" : "/execute_function"));
}

TEST(PlainDocs, ShowEveryRoute) {
  const std::string page = plain_docs_page(route_table());
  for (const Route& route : route_table()) {
    if (route.hidden) continue;
    EXPECT_THAT(page, HasSubstr("<code>" + std::string(route.pattern) + "</code>"));
  }
}

}  // namespace
}  // namespace treadle::gateway
