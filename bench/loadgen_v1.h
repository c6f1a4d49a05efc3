// The workloads of loadgen that use /v1: batches whose results are waited for, invoke, echo with raw or base64 bodies.
// Included by loadgen.cpp alone, after loadgen_http.h.
#pragma once

#include <unordered_set>

#include "loadgen_http.h"

struct Job {
  Loop& loop;
  std::string function;                     // its id
  std::string args;                         // base64 of the pickled (args, kwargs)
  std::shared_ptr<const std::string> call;  // body of POST /execute_function
  size_t n = 0, conns = 0, batch = 1000, window = 10000;
  bool results = true;  // of batch: false: only submits
};

static double cpu_s();
static double pct(std::vector<double>& v, double p);

static std::string base64_decoded(const std::string& text) {
  auto value = [](char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
  };
  std::string out;
  unsigned bits = 0, count = 0;
  for (char c : text) {
    if (value(c) < 0) continue;
    bits = bits << 6 | (unsigned)value(c);
    if ((count += 6) >= 8) out += (char)(bits >> (count -= 8) & 255);
  }
  return out;
}

// Batches over all connections but the first, which asks for the results of the oldest tasks under way.
class BatchRun {
 public:
  explicit BatchRun(const Job& job) : job_(job) {
    std::string one = "{\"function_id\":\"" + job_.function + "\",\"payload\":\"" + job_.args + "\"}",
                text = "{\"tasks\":[";
    for (size_t i = 0; i < job_.batch; ++i) text += (i ? "," : "") + one;
    body_ = std::make_shared<const std::string>(text + "]}");
  }

  int run() {
    double cpu0 = cpu_s(), t0 = now_s();
    job_.loop.on_response = [this](Conn& c, const Response& r) {
      if (&c == &waiter())
        ended(r);
      else
        accepted(r);
      go();
    };
    job_.loop.stop = false;
    go();
    job_.loop.run();
    double t = now_s() - t0;
    printf(
        "{\"bench\":\"batch\",\"n\":%zu,\"conns\":%zu,\"batch\":%zu,\"window\":%zu,\"submit_s\":%.4f,\"total_s\":%.4f,"
        "\"tasks_per_s\":%.1f,\"completed\":%zu,\"failed\":%zu,\"errors\":%zu,\"unfinished\":%zu,\"waits\":%zu,"
        "\"result_bytes\":%zu,\"client_cpu_s\":%.3f}\n",
        sent_, job_.conns, job_.batch, job_.window, t_sent_ - t0, t, (double)(done_ - failed_) / t, done_ - failed_,
        failed_, errors_, sent_ - done_, waits_, bytes_, cpu_s() - cpu0);
    return errors_ || failed_ || done_ < sent_ ? 2 : 0;
  }

 private:
  Conn& waiter() { return *job_.loop.conns[0]; }

  void go() {
    for (size_t i = 1; i < job_.conns; ++i) {
      Conn& c = *job_.loop.conns[i];
      if (c.busy || sent_ >= job_.n || sent_ - done_ + job_.batch > job_.window) continue;
      sent_ += job_.batch;
      job_.loop.send(c, post_req("/v1/tasks:batch", body_));
    }
    if (!waiter().busy && !pending_.empty()) wait();
  }

  void wait() {
    std::string text = "{\"wait\":30,\"results\":true,\"task_ids\":[";
    for (size_t i = 0; i < std::min(job_.batch, pending_.size()); ++i) text += (i ? ",\"" : "\"") + pending_[i] + "\"";
    ++waits_;
    job_.loop.send(waiter(), post_req("/v1/tasks:wait", std::make_shared<const std::string>(text + "]}")));
  }

  void accepted(const Response& r) {
    t_sent_ = now_s();
    size_t got = 0;
    each_id(r.body, [&](std::string_view id, size_t) {
      if (job_.results) pending_.emplace_back(id);
      ++got;
    });
    if (!job_.results) done_ += got;
    if (r.code != 201 || got != job_.batch) {
      fprintf(stderr, "loadgen: batch answered %d %.300s\n", r.code, std::string(r.body).c_str());
      ++errors_;
      sent_ = std::min(sent_ - job_.batch + got, job_.n);
      job_.n = 0;
    }
  }

  void ended(const Response& r) {
    std::unordered_set<std::string> over;
    if (r.code != 200) {
      fprintf(stderr, "loadgen: wait answered %d %.300s\n", r.code, std::string(r.body).c_str());
      ++errors_;
      job_.loop.stop = true;
    }
    each_id(r.body, [&](std::string_view id, size_t at) {
      over.emplace(id);
      std::string_view rest = r.body.substr(at);
      failed_ += json_str(rest, "status") == "FAILED";
      bytes_ += json_str(rest, "result").size();
    });
    size_t named = std::min(job_.batch, pending_.size()), kept = 0;
    for (size_t i = 0; i < named; ++i) {
      if (over.count(pending_[i]))
        ++done_;
      else
        std::swap(pending_[kept++], pending_[i]);
    }
    pending_.erase(pending_.begin() + (long)kept, pending_.begin() + (long)named);
  }

  template <class F>
  static void each_id(std::string_view body, F f) {
    static constexpr std::string_view kKey = "\"task_id\":\"";
    for (size_t p = body.find(kKey); p != body.npos; p = body.find(kKey, p + 1)) f(body.substr(p + kKey.size(), 36), p);
  }

  Job job_;
  std::shared_ptr<const std::string> body_;
  std::deque<std::string> pending_;  // accepted, result not seen, oldest first
  size_t sent_ = 0, done_ = 0, failed_ = 0, errors_ = 0, waits_ = 0, bytes_ = 0;
  double t_sent_ = 0;
};

// Each connection makes one call after another. `begin` is its first request; `next` gives what follows an answer: a
// request, or nothing when the call is over.
struct Calls {
  Job job;
  const char* name;
  std::function<Request()> begin;
  std::function<Request(const Response&, bool& over, bool& good)> next;

  int run() {
    std::vector<double> took, since(job.conns);
    size_t started = 0, bad = 0, bytes = 0;
    for (size_t i = 0; i < job.conns; ++i) job.loop.conns[i]->tag = i;
    auto start = [&](Conn& c) {
      if (started >= job.n) return;
      ++started;
      since[c.tag] = now_s();
      job.loop.send(c, begin());
    };
    job.loop.on_response = [&](Conn& c, const Response& r) {
      bool over = false, good = true;
      Request more = next(r, over, good);
      if (!over && good) return job.loop.send(c, std::move(more));
      if (!good)
        fprintf(stderr, "loadgen: %s answered %d %.300s\n", name, r.code, std::string(r.body.substr(0, 300)).c_str());
      bad += !good;
      bytes += r.body.size();
      took.push_back((now_s() - since[c.tag]) * 1e6);
      start(c);
    };
    double cpu0 = cpu_s(), t0 = now_s();
    job.loop.stop = false;
    for (auto& c : job.loop.conns) start(*c);
    job.loop.run();
    double t = now_s() - t0;
    size_t m = took.size();
    printf(
        "{\"bench\":\"%s\",\"n\":%zu,\"conns\":%zu,\"seconds\":%.4f,\"calls_per_s\":%.2f,\"p50_us\":%.1f,\"p95_us\":%."
        "1f,"
        "\"p99_us\":%.1f,\"max_us\":%.1f,\"errors\":%zu,\"unfinished\":%zu,\"answer_bytes\":%zu,\"client_cpu_s\":%.3f}"
        "\n",
        name, m, job.conns, t, (double)m / t, pct(took, .5), pct(took, .95), pct(took, .99), pct(took, 1), bad,
        job.n - m, bytes, cpu_s() - cpu0);
    return bad || m < job.n ? 2 : 0;
  }
};

// Calls with JSON in and out that are held until the task has ended.
static int run_invoke(const Job& job) {
  auto body = std::make_shared<const std::string>("{\"args\":[]}");
  const std::string path = "/v1/functions/" + job.function + "/invoke?wait=30";
  auto next = [](const Response& r, bool& over, bool& good) {
    over = true;
    good = r.code == 200;
    return Request{};
  };
  return Calls{job, "invoke", [&] { return post_req(path, body); }, next}.run();
}

// A call and its result, which is held until it is there: base64 on the seed's routes, or bytes on /v1.
static int run_echo(const Job& job, bool raw) {
  auto bytes = std::make_shared<const std::string>(raw ? base64_decoded(job.args) : "");
  auto begin = [&] {
    if (!raw) return post_req("/execute_function", job.call);
    Request r = post_req("/v1/tasks?function_id=" + job.function, bytes);
    r.head.replace(r.head.find("application/json"), 16, "application/octet-stream");
    return r;
  };
  auto next = [&](const Response& r, bool& over, bool& good) {
    const bool submitted =
        r.body.size() < 1024 && r.body.find("\"task_id\"") != r.body.npos && r.body.find("\"result\"") == r.body.npos;
    if (submitted && r.code / 100 == 2) {
      const std::string id(json_str(r.body, "task_id"));
      return get_req(raw ? "/v1/tasks/" + id + "/result?wait=30" : "/result/" + id + "?wait=30");
    }
    over = true;
    good = r.code == 200 && r.body.size() * 100 > (raw ? bytes->size() : job.args.size()) * 90;
    return Request{};
  };
  return Calls{job, raw ? "echo-raw" : "echo-base64", begin, next}.run();
}
