// loadgen: closed-loop HTTP/1.1 driver for the FaaS API (register_function, execute_function, status, result).
// One thread, epoll, keep-alive connections, one outstanding request per connection.
// Usually started through load.py, which prepares the serialized payloads.
//
//   loadgen tasks   --url http://127.0.0.1:8000 --fn FILE --args FILE --n 2000 --conns 16
//   loadgen latency --url ...                   --fn FILE --args FILE --n 300  --conns 1 --poll-us 0
//   loadgen status  --url ...                   --fn FILE --args FILE --seconds 3 --conns 16
//   loadgen batch   --url ...                   --fn FILE --args FILE --n 100000 --conns 5 --batch 1000
//   loadgen invoke  --url ...                   --fn FILE --args FILE --n 2000 --conns 1
//   loadgen echo-raw | echo-base64 --url ...    --fn FILE --args FILE --n 100 --conns 4
//
// FILE of --fn: the whole JSON body for POST /register_function; FILE of --args: the serialized args string.
// Prints one JSON line.
#include <csignal>

#include "loadgen_http.h"
#include "loadgen_v1.h"

static double cpu_s() {
  rusage u;
  getrusage(RUSAGE_SELF, &u);
  return u.ru_utime.tv_sec + u.ru_stime.tv_sec + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}
static double pct(std::vector<double>& v, double p) {
  if (v.empty()) return 0;
  std::sort(v.begin(), v.end());
  size_t i = (size_t)(p * (double)(v.size() - 1) + 0.5);
  return v[std::min(i, v.size() - 1)];
}

int main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);  // a server that closes is told by its answer, or by the end of the stream
  if (argc < 2)
    die("usage: loadgen tasks|latency|status|batch|invoke|echo-raw|echo-base64 --url URL --fn FILE --args FILE [...]");
  std::string mode = argv[1], url, fn, args, wait;
  size_t n = 1000, conns = 16, batch = 1000, window = 10000;
  bool results = true;
  double seconds = 3, timeout = 60, poll_us = 2000, warm = 0;
  for (int i = 2; i + 1 < argc; i += 2) {
    std::string k = argv[i], v = argv[i + 1];
    if (k == "--url")
      url = v;
    else if (k == "--fn")
      fn = v;
    else if (k == "--args")
      args = v;
    else if (k == "--n")
      n = std::stoul(v);
    else if (k == "--conns")
      conns = std::stoul(v);
    else if (k == "--batch")
      batch = std::stoul(v);
    else if (k == "--results")
      results = v != "0";
    else if (k == "--window")
      window = std::stoul(v);
    else if (k == "--seconds")
      seconds = std::stod(v);
    else if (k == "--timeout")
      timeout = std::stod(v);
    else if (k == "--poll-us")
      poll_us = std::stod(v);
    else if (k == "--warm")
      warm = std::stod(v);
    else if (k == "--wait")
      wait = v;  // query string appended to /result, e.g. wait=5 for a server with long polling
    else
      die("unknown option " + k);
  }
  if (url.rfind("http://", 0) != 0) die("--url must start with http://");
  std::string hp = url.substr(7);
  if (auto s = hp.find('/'); s != hp.npos) hp.resize(s);
  auto colon = hp.find(':');
  g_host = hp.substr(0, colon);
  g_port = colon == hp.npos ? "80" : hp.substr(colon + 1);
  if (g_host == "localhost") g_host = "127.0.0.1";
  g_addr.sin_family = AF_INET;
  g_addr.sin_port = htons((uint16_t)std::stoi(g_port));
  if (inet_pton(AF_INET, g_host.c_str(), &g_addr.sin_addr) != 1) die("host must be an IPv4 address or localhost");
  if (ntohl(g_addr.sin_addr.s_addr) >> 24 != 127) die("only loopback targets are allowed");

  Loop loop(conns);
  int code = 0;
  std::string reg =
      one(loop, post_req("/register_function", std::make_shared<const std::string>(read_file(fn))), &code);
  std::string fid(json_str(reg, "function_id"));
  if (fid.empty()) die("register_function answered " + std::to_string(code) + " " + reg.substr(0, 300));
  auto body = std::make_shared<const std::string>("{\"function_id\": \"" + fid + "\", \"payload\": \"" +
                                                  read_file(args) + "\"}");
  std::string q = wait.empty() ? "" : "?" + wait;
  auto terminal = [](std::string_view b) {
    auto s = json_str(b, "status");
    return s == "COMPLETED" ? 1 : s == "FAILED" ? 2 : s.empty() ? -1 : 0;
  };

  if (warm > 0) {  // tasks whose results are awaited but not counted
    for (int i = 0; i < (int)warm; ++i) {
      std::string r = one(loop, post_req("/execute_function", body));
      std::string id(json_str(r, "task_id"));
      if (id.empty()) die("execute_function answered " + r.substr(0, 300));
      double until = now_s() + timeout;
      while (terminal(one(loop, get_req("/status/" + id))) == 0 && now_s() < until) usleep(1000);
    }
  }
  double cpu0 = cpu_s();
  g_deadline = now_s() + timeout;

  const Job job{loop, fid, read_file(args), body, n, conns, batch, window, results};
  if (mode == "batch") return BatchRun(job).run();
  if (mode == "invoke") return run_invoke(job);
  if (mode == "echo-raw" || mode == "echo-base64") return run_echo(job, mode == "echo-raw");

  if (mode == "tasks") {
    std::vector<std::string> ids(n);
    size_t next = 0, errors = 0, answered = 0;
    loop.on_response = [&](Conn& c, const Response& r) {
      ++answered;
      auto id = json_str(r.body, "task_id");
      if (r.code / 100 != 2 || id.empty())
        ++errors;
      else
        ids[c.tag] = std::string(id);
      if (next < n) {
        c.tag = next++;
        loop.send(c, post_req("/execute_function", body));
      }
    };
    double t0 = now_s();
    for (auto& c : loop.conns)
      if (next < n) {
        c->tag = next++;
        loop.send(*c, post_req("/execute_function", body));
      }
    loop.run();
    double t1 = now_s();
    if (answered < n)
      die("timeout while submitting: " + std::to_string(answered) + " of " + std::to_string(n) + " answered");
    // Drain: watch a sample (the last submitted first, then evenly spaced) over one connection.
    std::vector<size_t> sample;
    for (size_t i = 0; i < std::min<size_t>(n, 32); ++i) sample.push_back(n - 1 - i);
    for (size_t i = 0; i < 32 && n > 64; ++i) sample.push_back((n - 33) * i / 32);
    double t_drain = t1;
    size_t polls = 0;
    for (size_t i : sample) {
      if (ids[i].empty()) continue;
      for (bool waited = false;; waited = true) {
        ++polls;
        int s = terminal(one(loop, get_req("/status/" + ids[i])));
        if (s != 0) {
          if (waited) t_drain = now_s();
          break;
        }
        if (now_s() > g_deadline) break;
        usleep((useconds_t)poll_us);
      }
    }
    // Fetch: every result, over all connections; any task still unfinished goes round again.
    double tf0 = now_s();
    std::deque<size_t> todo;
    for (size_t i = 0; i < n; ++i)
      if (!ids[i].empty()) todo.push_back(i);
    size_t completed = 0, failed = 0, bytes = 0, lost = 0;
    auto pump = [&](Conn& c) {
      if (todo.empty()) return;
      c.tag = todo.front();
      todo.pop_front();
      loop.send(c, get_req("/result/" + ids[c.tag] + q));
    };
    std::vector<char> late(n, 0);
    loop.on_timer = [&](Conn& c) {
      if (!c.busy) pump(c);
    };
    loop.on_response = [&](Conn& c, const Response& r) {
      int s = terminal(r.body);
      if (s == 1 || s == 2) {
        s == 1 ? ++completed : ++failed;
        bytes += json_str(r.body, "result").size();
        if (late[c.tag]) t_drain = now_s();
        pump(c);
      } else if (s == 0) {
        late[c.tag] = 1;
        todo.push_back(c.tag);
        loop.after(c, poll_us / 1e6);
      } else {
        ++lost;
        pump(c);
      }
    };
    loop.stop = false;
    for (auto& c : loop.conns) pump(*c);
    loop.run();
    double t2 = now_s();
    size_t unfinished = n - errors - completed - failed - lost;
    // tasks_per_s: submission of the first to the outcome of the last, FAILED ones counted; fetched_per_s adds the time
    // to fetch all results
    printf(
        "{\"bench\":\"tasks\",\"n\":%zu,\"conns\":%zu,\"submit_s\":%.4f,\"submit_rps\":%.1f,\"done_s\":%.4f,\"tasks_"
        "per_s\":%.1f,"
        "\"fetch_rps\":%.1f,\"fetched_per_s\":%.1f,\"total_s\":%.4f,\"completed\":%zu,\"failed\":%zu,\"errors\":%zu,"
        "\"unfinished\":%zu,"
        "\"result_bytes\":%zu,\"body_bytes\":%zu,\"polls\":%zu,\"reconnects\":%zu,\"client_cpu_s\":%.3f}\n",
        n, conns, t1 - t0, n / (t1 - t0), t_drain - t0, (completed + failed) / (t_drain - t0), n / (t2 - tf0),
        (completed + failed) / (t2 - t0 - (tf0 - std::max(t_drain, t1))), t2 - t0, completed, failed, errors + lost,
        unfinished, bytes, body->size(), polls, loop.reconnects, cpu_s() - cpu0);
    return unfinished || errors || lost || failed ? 2 : 0;
  }

  if (mode == "latency") {
    std::vector<double> lat;
    size_t started = 0, failed = 0, polls = 0;
    struct St {
      std::string id;
      double t0 = 0;
    };
    std::vector<St> st(conns);
    for (size_t i = 0; i < conns; ++i) loop.conns[i]->tag = i;
    auto begin = [&](Conn& c) {
      if (started >= n) return;
      ++started;
      st[c.tag].id.clear();
      st[c.tag].t0 = now_s();
      loop.send(c, post_req("/execute_function", body));
    };
    auto poll = [&](Conn& c) {
      ++polls;
      loop.send(c, get_req("/result/" + st[c.tag].id + q));
    };
    loop.on_timer = poll;
    loop.on_response = [&](Conn& c, const Response& r) {
      St& s = st[c.tag];
      if (s.id.empty()) {
        s.id = std::string(json_str(r.body, "task_id"));
        if (s.id.empty()) die("execute_function answered " + std::string(r.body.substr(0, 300)));
        poll(c);
        return;
      }
      int k = terminal(r.body);
      if (k == 0) {
        if (poll_us > 0)
          loop.after(c, poll_us / 1e6);
        else
          poll(c);
        return;
      }
      if (k != 1) ++failed;
      lat.push_back((now_s() - s.t0) * 1e6);
      begin(c);
    };
    double t0 = now_s();
    loop.stop = false;
    for (auto& c : loop.conns) begin(*c);
    loop.run();
    double t = now_s() - t0;
    double mean = 0;
    for (double x : lat) mean += x;
    mean /= std::max<size_t>(1, lat.size());
    size_t m = lat.size();
    printf(
        "{\"bench\":\"latency\",\"n\":%zu,\"conns\":%zu,\"poll_us\":%.0f,\"p50_us\":%.1f,\"p95_us\":%.1f,\"p99_us\":%."
        "1f,\"max_us\":%.1f,\"mean_us\":%.1f,"
        "\"tasks_per_s\":%.1f,\"polls_per_task\":%.2f,\"failed\":%zu,\"unfinished\":%zu,\"client_cpu_s\":%.3f}\n",
        m, conns, poll_us, pct(lat, .5), pct(lat, .95), pct(lat, .99), pct(lat, 1), mean, m / t,
        (double)polls / std::max<size_t>(1, m), failed, n - m, cpu_s() - cpu0);
    return m == n && !failed ? 0 : 2;
  }

  if (mode == "status") {
    std::string r = one(loop, post_req("/execute_function", body));
    std::string id(json_str(r, "task_id"));
    if (id.empty()) die("execute_function answered " + r.substr(0, 300));
    while (terminal(one(loop, get_req("/status/" + id))) == 0 && now_s() < g_deadline) usleep(1000);
    size_t done = 0, bad = 0;
    double t0 = now_s(), end = t0 + seconds;
    std::vector<double> lat, began(conns);
    for (size_t i = 0; i < conns; ++i) loop.conns[i]->tag = i;
    auto go = [&](Conn& c) {
      began[c.tag] = now_s();
      loop.send(c, get_req("/status/" + id));
    };
    loop.on_response = [&](Conn& c, const Response& rep) {
      ++done;
      bad += rep.code != 200;
      double t = now_s();
      lat.push_back((t - began[c.tag]) * 1e6);
      if (t < end) go(c);
    };
    loop.stop = false;
    for (auto& c : loop.conns) go(*c);
    loop.run();
    double t = now_s() - t0;
    printf(
        "{\"bench\":\"status\",\"seconds\":%.2f,\"conns\":%zu,\"rps\":%.1f,\"p50_us\":%.1f,\"p99_us\":%.1f,\"errors\":%"
        "zu,\"client_cpu_s\":%.3f}\n",
        t, conns, done / t, pct(lat, .5), pct(lat, .99), bad, cpu_s() - cpu0);
    return bad ? 2 : 0;
  }
  die("unknown mode " + mode);
}
