#include "cli/why_text.h"

#include <algorithm>
#include <cstdio>
#include <exception>
#include <vector>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/system/system_error.hpp>

namespace treadle::cli {
namespace {

namespace json = boost::json;

constexpr std::size_t kOutputLines = 20;

// "" for null and for what is not there.
std::string text(const json::value& object, const char* name) {
  const json::value* value = object.as_object().if_contains(name);
  const json::string* found = value == nullptr ? nullptr : value->if_string();
  return found == nullptr ? std::string() : std::string(found->data(), found->size());
}

double number(const json::value& object, const char* name) {
  const json::value* value = object.as_object().if_contains(name);
  return value != nullptr && value->is_number() ? value->to_number<double>() : 0;
}

std::string duration(double seconds) {
  char out[64];
  if (seconds < 1)
    std::snprintf(out, sizeof out, "%.0f ms", seconds * 1000);
  else if (seconds < 120)
    std::snprintf(out, sizeof out, "%.3g s", seconds);
  else if (seconds < 7200)
    std::snprintf(out, sizeof out, "%.1f min", seconds / 60);
  else
    std::snprintf(out, sizeof out, "%.1f h", seconds / 3600);
  return out;
}

std::string counted(double count, const std::string& thing) {
  const auto whole = static_cast<long>(count);
  return std::to_string(whole) + " " + thing + (whole == 1 ? "" : "s");
}

std::string indented(std::string_view lines, std::size_t most) {
  std::vector<std::string_view> all;
  while (!lines.empty()) {
    const auto end = std::min(lines.find('\n'), lines.size());
    all.push_back(lines.substr(0, end));
    lines.remove_prefix(std::min(end + 1, lines.size()));
  }
  std::string out;
  const std::size_t first = all.size() > most ? all.size() - most : 0;
  if (first > 0) out += "  (" + std::to_string(first) + " lines before)\n";
  for (std::size_t i = first; i < all.size(); ++i) out.append("  ").append(all[i]).append("\n");
  return out;
}

void say(std::string& out, const std::string& sentence) { out += "  " + sentence + "\n"; }

// ---- parts ----

// "It says that it is at 40 %: loading (2 s ago)." The time is told by the service's clock.
void add_progress(std::string& out, const json::value& task) {
  const json::value* found = task.as_object().if_contains("progress");
  if (found == nullptr || !found->is_object()) return;
  const std::string note = text(*found, "note");
  std::string words = "It says of its progress";
  if (found->at("fraction").is_number()) {
    char percent[32];
    std::snprintf(percent, sizeof percent, ": %.3g %%", number(*found, "fraction") * 100);
    words += percent;
  }
  if (!note.empty()) words += ": " + note;
  say(out, words + " (at " + text(*found, "at") + ").");
}

void add_head(std::string& out, const json::value& task) {
  const std::string status = text(task, "status");
  const json::value& error = task.at("error");
  out += "Task " + text(task, "task_id") + " is " + status;
  if (error.is_object()) out += " (" + text(error, "kind") + ")";
  const std::string total = duration(number(task.at("durations"), "total"));
  out += status == "QUEUED" || status == "RUNNING" ? ", since " + total + ".\n" : ", after " + total + ".\n";
  say(out, "Function " + text(task, "function_id") + ", " + counted(number(task, "attempts"), "attempt") + " begun, " +
               text(task.at("options"), "delivery") + ".");
  if (!text(task, "worker").empty()) say(out, "Its last worker is " + text(task, "worker") + ".");
  add_progress(out, task);
  if (!text(task, "group").empty()) say(out, "It belongs to group " + text(task, "group") + ".");
}

void add_step(std::string& out, const json::value& task, const char* instant, const std::string& what,
              const std::string& took) {
  const std::string when = text(task.at("timeline"), instant);
  if (!when.empty()) say(out, when + "  " + what + (took.empty() ? "" : "  (" + took + ")"));
}

void add_timeline(std::string& out, const json::value& task) {
  const json::value& took = task.at("durations");
  out += "\nTime line\n";
  add_step(out, task, "accepted", "accepted", "");
  add_step(out, task, "claimed", "claimed for a worker", "waited " + duration(number(took, "waiting")));
  add_step(out, task, "started", "its code began", "after " + duration(number(took, "starting")));
  const bool ran = !text(task.at("timeline"), "started").empty();
  add_step(out, task, "finished", text(task, "status"),
           ran ? "ran " + duration(number(took, "running")) : "it never ran");
}

void add_failure(std::string& out, const json::value& task) {
  const json::value& error = task.at("error");
  const std::string last = text(task, "last_error");
  if (!error.is_object() && last.empty()) return;
  out += "\nWhy\n";
  if (error.is_object()) {
    const std::string kind = text(error, "kind"), type = text(error, "type");
    say(out, kind + (type.empty() || type == kind ? "" : ", " + type) + ": " + text(error, "message"));
  }
  if (!last.empty()) say(out, "The attempt before ended so: " + last);
  if (number(task, "losses") > 0) say(out, counted(number(task, "losses"), "attempt") + " lost with a worker.");
  if (number(task, "kills") > 0) say(out, counted(number(task, "kills"), "executor") + " died under it.");
  if (!error.is_object() || text(error, "traceback").empty()) return;
  out += "\nTraceback\n" + indented(text(error, "traceback"), 1000);
}

std::string megabytes(double bytes) {
  char out[64];
  std::snprintf(out, sizeof out, "%.3g MiB", bytes / (1024 * 1024));
  return out;
}

// Whose doing it was, and what its process took.
void add_last_words(std::string& out, const json::value& task) {
  const json::value& error = task.at("error");
  struct Row {
    const char* by;
    const char* words;
  };
  constexpr Row kRows[] = {
      {"user_code", "the function itself"},
      {"time_limit", "its time limit"},
      {"cancel", "a request to cancel it"},
      {"memory", "the limit of its memory"},
      {"limit", "one of its limits"},
      {"host", "something outside: a kill, a lack of memory of the machine, or the loss of its worker"}};
  std::string said;
  const std::string by = error.is_object() ? text(error, "ended_by") : std::string();
  for (const Row& row : kRows)
    if (by == row.by) said += std::string("  It was ended by ") + row.words + ".\n";
  const json::value& took = task.at("measures");
  const double cpu = number(took, "cpu_seconds"), peak = number(took, "peak_rss_bytes");
  if (cpu > 0) say(said, "It took " + duration(cpu) + " of CPU time.");
  if (peak > 0) say(said, "Its Python process had at most " + megabytes(peak) + " of memory.");
  const std::string signal = text(took, "signal_name");
  if (!signal.empty()) say(said, "That process died of " + signal + ".");
  if (number(took, "exit_code") > 0)
    say(said, "That process exited with code " + std::to_string(static_cast<int>(number(took, "exit_code"))) + ".");
  if (!said.empty()) out += "\nLast words\n" + said;
}

void add_output(std::string& out, const json::value& task) {
  const std::string output = text(task, "output");
  if (output.empty()) return;
  out += "\nThe last of its output\n" + indented(output, kOutputLines);
}

// ---- what it waits for ----

bool serves(const json::value& worker, const std::string& queue) {
  const json::array& queues = worker.at("queues").as_array();
  return std::any_of(queues.begin(), queues.end(), [&](const json::value& one) { return one.as_string() == queue; });
}

// Why a queued task is not claimed, as far as the workers tell.
std::string waits_for(const json::value& task, const json::array& workers) {
  const std::string queue = text(task.at("options"), "queue");
  double able = 0, slots = 0, free = 0;
  for (const json::value& worker : workers) {
    if (text(worker, "state") != "ready" || !serves(worker, queue)) continue;
    ++able;
    slots += number(worker, "slots");
    free += number(worker, "slots_free");
  }
  const bool named = queue != "default";
  if (able == 0 && named)
    return "No ready worker serves the queue " + queue + "; start one that does, or submit without the option.";
  if (able == 0) return "There is no ready worker. Start one; the task stays queued until then.";
  if (const std::string key = text(task.at("options"), "concurrency_key"); free > 0 && !key.empty())
    return "It shares the concurrency_key " + key + ", of which " +
           counted(number(task.at("options"), "max_concurrent"), "task") +
           " may run at once: it runs when one of them has ended.";
  if (free == 0)
    return "All " + counted(slots, "slot") + " of " + counted(able, "worker") +
           " are taken; it runs when its turn comes. More slots (-w) or workers shorten that.";
  return counted(free, "slot") + " of " + counted(able, "worker") +
         " free: it should start in a moment. If it does not, look at the log of the dispatcher.";
}

std::string not_ended(const json::value& task, std::string_view workers) {
  const json::value& times = task.at("timeline");
  if (task.at("cancel_requested").as_bool()) return "It was asked to be cancelled; its worker ends it within seconds.";
  if (text(task, "status") == "RUNNING") {
    const double limit = number(task.at("options"), "time_limit");
    if (limit > 0) return "It runs; its time limit ends it after " + duration(limit) + ".";
    return "It runs, and has no time limit of its own. To end it: DELETE /v1/tasks/" + text(task, "task_id") + ".";
  }
  if (!text(times, "claimed").empty()) return "It was given to a worker and waits there for a free Python process.";
  if (const std::string due = text(times, "not_before"); !due.empty() && due > text(task, "now"))
    return "It was asked to wait until " + due + ".";
  if (const std::string words = text(task, "waiting_for"); !words.empty()) return words;
  if (workers.empty()) return "It waits for a worker; which there are is not known.";
  return waits_for(task, json::parse({workers.data(), workers.size()}).at("workers").as_array());
}

std::string advice(const std::string& kind) {
  struct Row {
    const char* kind;
    const char* words;
  };
  constexpr Row kRows[] = {
      {"FunctionFailed",
       "The function raised. Mend it, register it again and submit anew; option retries tries again by itself."},
      {"Timeout", "Give it more time (option time_limit of function and task, -t of the service), or less to do."},
      {"Crashed",
       "Its Python process died: a fault in native code, os._exit or a kill from outside. The output may tell more."},
      {"WorkerLost",
       "Its worker vanished. Is the function safe to repeat? at_least_once with a greater max_attempts runs it again."},
      {"PoisonTask",
       "It killed its Python process each time. Run it by hand with the same arguments, outside of the service."},
      {"Cancelled", "Somebody asked for it. Submit it again if that was a mistake."},
      {"Expired", "It had not begun in time (deadline, expires_in or queue_ttl). Add workers, or let it wait longer."},
      {"EnvironmentFailed",
       "What it needs around it is not there: the message says what. Of requirements the output above is the log of "
       "their build."},
      {"DeserializeFailed",
       "Body or arguments cannot be loaded there: is every module that they name installed for the workers (--python, "
       "--path)?"},
      {"PythonMismatch",
       "The function was pickled by another Python version. Give the worker that version too (--python may be "
       "repeated), "
       "pickle with the worker's, or put the function in a module that both sides can import."},
      {"OutOfMemory",
       "It used more memory than it may (option memory_limit) or than there was. Give it less at once, or more room."},
      {"LimitExceeded",
       "The message names the option (cpu_limit, file_limit, process_limit, output_limit). Raise it, or give it less."},
      {"Unserializable", "It ended well, but its result cannot be pickled. Return plain data."},
      {"ResultTooLarge",
       "It ended well, but its result is over the limit (option result_limit, --max-payload). Write it to a file or a "
       "store and return the "
       "name."},
  };
  for (const Row& row : kRows)
    if (kind == row.kind) return row.words;
  return "The message above says what happened.";
}

std::string tell(const json::value& task, std::string_view workers) {
  std::string out;
  add_head(out, task);
  add_timeline(out, task);
  add_failure(out, task);
  add_last_words(out, task);
  add_output(out, task);
  out += "\nWhat now\n";
  const std::string status = text(task, "status");
  if (status == "FAILED")
    say(out, advice(text(task.at("error"), "kind")));
  else if (status == "COMPLETED")
    say(out, "Nothing; its result is at GET /v1/tasks/" + text(task, "task_id") + "?result=1.");
  else
    say(out, not_ended(task, workers));
  return out;
}

}  // namespace

Result<std::string> why_text(std::string_view task, std::string_view workers) try {
  return tell(json::parse({task.data(), task.size()}), workers);
} catch (const std::exception& error) {  // a member is missing, or it is no JSON at all
  return fail(Code::Invalid, std::string("the answer is not that of a treadle service (") + error.what() + ").");
}

std::string error_detail(std::string_view body) {
  boost::system::error_code error;
  const json::value problem = json::parse({body.data(), body.size()}, error);
  if (!error && problem.is_object() && !text(problem, "detail").empty()) return text(problem, "detail");
  constexpr std::size_t kMost = 200;
  return std::string(body.substr(0, kMost));
}

}  // namespace treadle::cli
