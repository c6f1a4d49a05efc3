// `treadle why TASK`: asks a running service for the story of a task, and tells it in words.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "base/ids.h"
#include "cli/commands.h"
#include "cli/http_get.h"
#include "cli/why_text.h"

namespace treadle::cli {
namespace {

constexpr int kExitNoTask = 1;
constexpr int kExitUnreachable = 3;

constexpr const char* kFooter = R"(
Exit codes: 0 the task is there, 1 there is no such task, 2 wrong usage, 3 the service cannot be asked.

Example:
  treadle why 0193610f-54c2-7b7e-a1b5-0c2f4e8d9a13 --url http://127.0.0.1:8000
)";

int complain(int code, const std::string& text) {
  std::fprintf(stderr, "treadle why: %s\n", text.c_str());
  return code;
}

int tell(const ServiceUrl& service, const std::string& task) {
  const auto story = http_get(service, "/v1/tasks/" + task);
  if (!story) return complain(kExitUnreachable, story.error().message);
  if (story->status == 404) return complain(kExitNoTask, error_detail(story->body));
  if (story->status != 200)
    return complain(kExitUnreachable,
                    service.text + " answers " + std::to_string(story->status) + ": " + error_detail(story->body));
  const auto workers = http_get(service, "/v1/workers");
  const auto text = why_text(story->body, workers && workers->status == 200 ? workers->body : std::string());
  if (!text) return complain(kExitUnreachable, service.text + ": " + text.error().message);
  std::printf("%s", text->c_str());
  return 0;
}

}  // namespace

int why(const Arguments& arguments) {
  std::string task, url = "http://127.0.0.1:8000";
  CLI::App app("The story of one task, in words: where it stands, why, and what to do.", "treadle why");
  app.add_option("task", task, "id of the task, as submitting answered it")->required();
  app.add_option("--url", url, "the service that has it")->envname("TREADLE_URL")->capture_default_str();
  app.footer(kFooter);
  try {
    app.parse(Arguments(arguments.rbegin(), arguments.rend()));  // CLI11 takes them from the back
  } catch (const CLI::CallForHelp&) {
    std::printf("%s", app.help().c_str());
    return 0;
  } catch (const CLI::ParseError& error) {
    return complain(kExitUsage, std::string(error.what()) + ". See treadle why --help.");
  }
  if (!TaskId::parse(task))
    return complain(kExitUsage, "'" + task + "' is not a task id like 0193610f-54c2-7b7e-a1b5-0c2f4e8d9a13.");
  const auto service = parse_service_url(url);
  if (!service) return complain(kExitUsage, service.error().message);
  return tell(*service, task);
}

}  // namespace treadle::cli
