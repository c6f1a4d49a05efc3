#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/http_get.h"
#include "cli/why_text.h"

namespace treadle::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const std::string kTask = "0193610f-54c2-7b7e-a1b5-0c2f4e8d9a13";

struct Fake {
  std::string status = "FAILED";
  std::string error =
      R"({"kind": "Timeout", "type": "Timeout", "message": "the time limit of 1 s passed", "traceback": "line 1\nline 2"})";
  std::string last_error = "null";
  std::string output = "a\\nb";
  std::string timeline =
      R"({"accepted": "2026-11-25T18:00:00.000Z", "not_before": null, "claimed": "2026-11-25T18:00:00.250Z",
      "started": "2026-11-25T18:00:00.300Z", "finished": "2026-11-25T18:00:01.300Z"})";
  std::string options = R"({"delivery": "at_least_once", "time_limit": 1, "queue": "default"})";
  std::string measures = "{}";
  bool cancel = false;

  std::string text() const {
    return R"({"task_id": ")" + kTask + R"(", "function_id": "f-1", "status": ")" + status +
           R"(", "attempts": 2, "losses": 1, "kills": 0, "worker": "w-1", "cancel_requested": )" +
           (cancel ? "true" : "false") + R"(, "last_error": )" + last_error + R"(, "error": )" + error +
           R"(, "output": ")" + output + R"(", "now": "2026-11-25T18:00:05.000Z", "timeline": )" + timeline +
           R"(, "durations": {"waiting": 0.25, "starting": 0.05, "running": 1, "total": 1.3}, "measures": )" +
           measures + R"(, "options": )" + options + R"(, "group": null, "result_bytes": 0})";
  }
};

Fake queued() {
  Fake fake;
  fake.status = "QUEUED";
  fake.error = "null";
  fake.output.clear();
  fake.timeline =
      R"({"accepted": "2026-11-25T18:00:00.000Z", "not_before": null, "claimed": null, "started": null, "finished": null})";
  return fake;
}

std::string worker(const std::string& state, int free, const std::string& queue = "default") {
  return R"({"state": ")" + state + R"(", "slots": 2, "slots_free": )" + std::to_string(free) + R"(, "queues": [")" +
         queue + "\"]}";
}

std::string why(const Fake& fake, const std::string& workers = "") {
  const auto text = why_text(fake.text(), workers.empty() ? "" : R"({"workers": [)" + workers + "]}");
  return text ? *text : "ERROR " + text.error().message;
}

TEST(Why, TellsTheWholeStoryOfAFailure) {
  Fake fake;
  fake.last_error = R"("WorkerLost worker=w-0")";
  EXPECT_EQ(why(fake), "Task " + kTask + R"( is FAILED (Timeout), after 1.3 s.
  Function f-1, 2 attempts begun, at_least_once.
  Its last worker is w-1.

Time line
  2026-11-25T18:00:00.000Z  accepted
  2026-11-25T18:00:00.250Z  claimed for a worker  (waited 250 ms)
  2026-11-25T18:00:00.300Z  its code began  (after 50 ms)
  2026-11-25T18:00:01.300Z  FAILED  (ran 1 s)

Why
  Timeout: the time limit of 1 s passed
  The attempt before ended so: WorkerLost worker=w-0
  1 attempt lost with a worker.

Traceback
  line 1
  line 2

The last of its output
  a
  b

What now
  Give it more time (option time_limit of function and task, -t of the service), or less to do.
)");
}

TEST(Why, TellsLastWords) {
  Fake fake;
  fake.error =
      R"({"kind": "PoisonTask", "type": "PoisonTask", "message": "m", "traceback": null, "ended_by": "user_code"})";
  fake.measures = R"({"cpu_seconds": 0.25, "peak_rss_bytes": 52428800, "signal": 11, "signal_name": "SIGSEGV"})";
  EXPECT_THAT(why(fake), HasSubstr("Last words\n  It was ended by the function itself.\n  It took 250 ms of CPU time.\n"
                                   "  Its Python process had at most 50 MiB of memory.\n"
                                   "  That process died of SIGSEGV.\n\n"));
  fake.measures = R"({"exit_code": 7})";
  EXPECT_THAT(why(fake), HasSubstr("That process exited with code 7."));
}

TEST(Why, SaysWhatAQueuedTaskWaitsFor) {
  EXPECT_THAT(why(queued()), HasSubstr("is QUEUED, since 1.3 s"));
  EXPECT_THAT(why(queued()), HasSubstr("which there are is not known"));
  EXPECT_THAT(*why_text(queued().text(), R"({"workers": []})"), HasSubstr("There is no ready worker"));
  EXPECT_THAT(why(queued(), worker("lost", 2)), HasSubstr("There is no ready worker"));
  EXPECT_THAT(why(queued(), worker("ready", 0) + ", " + worker("ready", 0)),
              HasSubstr("All 4 slots of 2 workers are taken"));
  EXPECT_THAT(why(queued(), worker("ready", 1)), HasSubstr("1 slot of 1 worker free: it should start in a moment"));
  Fake gpu = queued();
  gpu.options = R"({"delivery": "at_least_once", "time_limit": null, "queue": "gpu"})";
  EXPECT_THAT(why(gpu, worker("ready", 1)), HasSubstr("No ready worker serves the queue gpu"));
  EXPECT_THAT(why(gpu, worker("ready", 1, "gpu")), HasSubstr("should start in a moment"));
  Fake delayed = queued();
  delayed.timeline =
      R"({"accepted": "2026-11-25T18:00:00.000Z", "not_before": "2026-11-25T18:00:09.000Z", "claimed": null,
      "started": null, "finished": null})";
  EXPECT_THAT(why(delayed, worker("ready", 1)), HasSubstr("asked to wait until 2026-11-25T18:00:09.000Z"));
  Fake claimed = queued();
  claimed.timeline = R"({"accepted": "a", "not_before": null, "claimed": "b", "started": null, "finished": null})";
  EXPECT_THAT(why(claimed), HasSubstr("given to a worker and waits there"));
}

TEST(Why, KnowsTheOtherStates) {
  Fake fake;
  fake.status = "COMPLETED";
  fake.error = "null";
  EXPECT_THAT(why(fake), HasSubstr("Nothing; its result is at GET /v1/tasks/" + kTask + "?result=1."));
  EXPECT_THAT(why(fake), Not(HasSubstr("Why\n")));
  fake.status = "RUNNING";
  EXPECT_THAT(why(fake), HasSubstr("its time limit ends it after 1 s"));
  fake.cancel = true;
  EXPECT_THAT(why(fake), HasSubstr("asked to be cancelled"));
  fake = {};
  fake.error = R"({"kind": "Cancelled", "type": "Cancelled", "message": "m", "traceback": null})";
  fake.timeline = R"({"accepted": "a", "not_before": null, "claimed": null, "started": null, "finished": "b"})";
  EXPECT_THAT(why(fake), HasSubstr("b  FAILED  (it never ran)"));
  EXPECT_THAT(why(fake), HasSubstr("Somebody asked for it"));
}

TEST(Why, ShowsTheEndOfALongOutput) {
  Fake fake;
  fake.output.clear();
  for (int i = 1; i <= 30; ++i) fake.output += "line " + std::to_string(i) + "\\n";
  EXPECT_THAT(why(fake), HasSubstr("  (10 lines before)\n  line 11\n"));
  EXPECT_THAT(why(fake), HasSubstr("  line 30\n\nWhat now"));
}

TEST(Why, RefusesWhatIsNoStory) {
  for (const std::string wrong : {"", "nonsense", "[]", "{}", R"({"task_id": 3})"})
    EXPECT_THAT(why_text(wrong, "").error().message, HasSubstr("not that of a treadle service")) << wrong;
  EXPECT_EQ(error_detail(R"({"detail": "There is no task."})"), "There is no task.");
  EXPECT_EQ(error_detail("<html>"), "<html>");
}

TEST(ServiceUrl, ReadsHostAndPort) {
  const auto url = parse_service_url("http://localhost:8000/");
  ASSERT_TRUE(url);
  EXPECT_EQ(url->host, "localhost");
  EXPECT_EQ(url->port, 8000);
  EXPECT_EQ(url->text, "http://localhost:8000");
  EXPECT_EQ(parse_service_url("http://box")->port, 80);
  EXPECT_EQ(parse_service_url("http://[::1]:81")->host, "::1");
  EXPECT_EQ(parse_service_url("http://[::1]")->port, 80);
  for (const char* wrong : {"", "localhost:8000", "https://x", "http://", "http://x:0", "http://x:99999", "http://x:y",
                            "http://x/y", "http://u@x", "http://:80"})
    EXPECT_FALSE(parse_service_url(wrong)) << wrong;
}

TEST(HttpGet, SaysThatNobodyListens) {
  const auto answer = http_get(*parse_service_url("http://127.0.0.1:1"), "/");
  ASSERT_FALSE(answer);
  EXPECT_THAT(answer.error().message, HasSubstr("cannot reach http://127.0.0.1:1 (Connection refused)"));
}

TEST(Why, TellsHowFarItIs) {
  Fake fake = queued();
  fake.status = "RUNNING";
  std::string told = fake.text();
  EXPECT_THAT(*why_text(told, ""), Not(HasSubstr("progress")));
  told.insert(told.size() - 1,
              R"(, "progress": {"fraction": 0.125, "note": "row 1 of 8", "at": "2026-11-25T18:00:04.000Z"})");
  EXPECT_THAT(*why_text(told, ""),
              HasSubstr("It says of its progress: 12.5 %: row 1 of 8 (at 2026-11-25T18:00:04.000Z).\n"));
  told = fake.text();
  told.insert(told.size() - 1,
              R"(, "progress": {"fraction": null, "note": "loading", "at": "2026-11-25T18:00:04.000Z"})");
  EXPECT_THAT(*why_text(told, ""), HasSubstr("It says of its progress: loading (at"));
}

}  // namespace
}  // namespace treadle::cli
