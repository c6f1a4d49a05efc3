// The HTTP half of loadgen: connections, one epoll loop, requests. Included by loadgen.cpp alone, which is compiled as
// one file.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <fstream>
#include <functional>
#include <memory>
#include <queue>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

using Clock = std::chrono::steady_clock;
static double now_s() { return std::chrono::duration<double>(Clock::now().time_since_epoch()).count(); }
[[noreturn]] static void die(const std::string& m) {
  fprintf(stderr, "loadgen: %s\n", m.c_str());
  exit(1);
}

static std::string read_file(const std::string& p) {
  std::ifstream f(p, std::ios::binary);
  if (!f) die("cannot read " + p);
  std::stringstream ss;
  ss << f.rdbuf();
  return ss.str();
}

// Value of a string member in a flat JSON object; enough for this API.
static std::string_view json_str(std::string_view body, const char* key) {
  std::string k = std::string("\"") + key + "\"";
  size_t p = body.find(k);
  if (p == body.npos) return {};
  p += k.size();
  while (p < body.size() && (body[p] == ' ' || body[p] == ':')) ++p;
  if (p >= body.size() || body[p] != '"') return {};
  size_t e = ++p;
  while (e < body.size() && body[e] != '"') e += body[e] == '\\' ? 2 : 1;
  return body.substr(p, e - p);
}

struct Request {
  std::string head;
  std::shared_ptr<const std::string> body;  // may be null
};

struct Response {
  int code = 0;
  std::string_view body;
};

static std::string g_host;
static std::string g_port;
static sockaddr_in g_addr;
static double g_deadline = 0;

struct Conn {
  int fd = -1;
  Request req;
  size_t sent = 0;
  std::string in;
  bool busy = false;
  bool want_out = false;
  size_t tag = 0;

  void open_(int ep) {
    fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (sockaddr*)&g_addr, sizeof g_addr) != 0) die(std::string("connect: ") + strerror(errno));
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    epoll_event ev{};
    ev.events = EPOLLIN;
    ev.data.ptr = this;
    epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
    in.clear();
    want_out = false;
  }
  void reopen(int ep) {
    close(fd);
    open_(ep);
  }
  void arm(int ep, bool out) {
    if (out == want_out) return;
    want_out = out;
    epoll_event ev{};
    ev.events = out ? (unsigned)EPOLLIN | (unsigned)EPOLLOUT : (unsigned)EPOLLIN;
    ev.data.ptr = this;
    epoll_ctl(ep, EPOLL_CTL_MOD, fd, &ev);
  }
  // true: everything written
  bool flush(int ep) {
    size_t total = req.head.size() + (req.body ? req.body->size() : 0);
    while (sent < total) {
      iovec v[2];
      int n = 0;
      if (sent < req.head.size()) v[n++] = {(void*)(req.head.data() + sent), req.head.size() - sent};
      if (req.body) {
        size_t off = sent > req.head.size() ? sent - req.head.size() : 0;
        if (off < req.body->size()) v[n++] = {(void*)(req.body->data() + off), req.body->size() - off};
      }
      ssize_t r = writev(fd, v, n);
      if (r < 0) {
        if (errno == EAGAIN) {
          arm(ep, true);
          return false;
        }
        return false;  // the read side will notice
      }
      sent += (size_t)r;
    }
    arm(ep, false);
    return true;
  }
  // 1: complete, 0: need more, -1: closed
  int parse(Response& out, size_t& consumed, std::string& scratch) {
    size_t h = in.find("\r\n\r\n");
    if (h == in.npos) return 0;
    out.code = in.size() > 12 ? atoi(in.c_str() + 9) : 0;
    size_t clen = 0;
    bool chunked = false;
    std::string_view hdr(in.data(), h + 2);
    for (size_t p = hdr.find("\r\n") + 2; p < hdr.size();) {
      size_t e = hdr.find("\r\n", p);
      std::string_view l = hdr.substr(p, e - p);
      if (l.size() > 15 && strncasecmp(l.data(), "content-length:", 15) == 0)
        clen = strtoull(l.data() + 15, nullptr, 10);
      if (l.size() > 18 && strncasecmp(l.data(), "transfer-encoding:", 18) == 0) chunked = true;
      p = e + 2;
    }
    size_t b = h + 4;
    if (!chunked) {
      if (in.size() < b + clen) return 0;
      out.body = std::string_view(in).substr(b, clen);
      consumed = b + clen;
      return 1;
    }
    scratch.clear();
    for (;;) {
      size_t e = in.find("\r\n", b);
      if (e == in.npos) return 0;
      size_t n = strtoull(in.c_str() + b, nullptr, 16);
      if (in.size() < e + 2 + n + 2) return 0;
      scratch.append(in, e + 2, n);
      b = e + 2 + n + 2;
      if (n == 0) break;
    }
    out.body = scratch;
    consumed = b;
    return 1;
  }
};

struct Loop {
  int ep = epoll_create1(0);
  std::vector<std::unique_ptr<Conn>> conns;
  std::function<void(Conn&, const Response&)> on_response;
  struct Timer {
    double at;
    Conn* c;
    bool operator<(const Timer& o) const { return at > o.at; }
  };
  std::priority_queue<Timer> timers;
  std::function<void(Conn&)> on_timer;
  size_t requests = 0, reconnects = 0;
  bool stop = false;
  std::string scratch;

  explicit Loop(size_t n) {
    for (size_t i = 0; i < n; ++i) {
      conns.push_back(std::make_unique<Conn>());
      conns.back()->open_(ep);
    }
  }
  void send(Conn& c, Request r) {
    c.req = std::move(r);
    c.sent = 0;
    c.busy = true;
    ++requests;
    c.flush(ep);
  }
  void after(Conn& c, double secs) { timers.push({now_s() + secs, &c}); }
  size_t inflight() const {
    size_t n = 0;
    for (auto& c : conns) n += c->busy;
    return n;
  }
  void run() {
    stop = false;
    std::vector<epoll_event> evs(256);
    std::vector<char> buf(1 << 18);
    while (!stop && (inflight() || !timers.empty())) {
      timespec ts{1, 0};
      double t = now_s();
      if (g_deadline > 0 && t > g_deadline) return;
      if (!timers.empty()) {
        double d = std::max(0.0, timers.top().at - t);
        if (d < 1) ts = {0, (long)(d * 1e9)};
      }
      int n = epoll_pwait2(ep, evs.data(), (int)evs.size(), &ts, nullptr);
      for (int i = 0; i < n; ++i) {
        Conn& c = *(Conn*)evs[i].data.ptr;
        if (evs[i].events & EPOLLOUT) c.flush(ep);
        if (!(evs[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))) continue;
        bool closed = false;
        for (;;) {
          ssize_t r = read(c.fd, buf.data(), buf.size());
          if (r > 0) {
            c.in.append(buf.data(), (size_t)r);
            if ((size_t)r < buf.size()) break;
            continue;
          }
          if (r == 0 || (errno != EAGAIN && errno != EINTR)) closed = true;
          break;
        }
        Response rep;
        size_t used = 0;
        if (c.busy && c.parse(rep, used, scratch) == 1) {
          std::string keep;
          keep.swap(c.in);  // the view in rep stays valid while keep lives
          c.busy = false;
          on_response(c, rep);
          if (closed && !c.busy) c.reopen(ep);
        } else if (closed) {
          bool was = c.busy;
          ++reconnects;
          if (reconnects > 1000) die("server keeps closing connections");
          c.reopen(ep);
          if (was) {
            c.sent = 0;
            c.flush(ep);
          }
        }
      }
      t = now_s();
      while (!timers.empty() && timers.top().at <= t) {
        Conn* c = timers.top().c;
        timers.pop();
        on_timer(*c);
      }
    }
  }
};

static Request get_req(const std::string& path) {
  return {"GET " + path + " HTTP/1.1\r\nHost: " + g_host + ":" + g_port + "\r\n\r\n", nullptr};
}
static Request post_req(const std::string& path, std::shared_ptr<const std::string> body) {
  return {"POST " + path + " HTTP/1.1\r\nHost: " + g_host + ":" + g_port +
              "\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body->size()) + "\r\n\r\n",
          body};
}

static std::string one(Loop& l, Request r, int* code = nullptr) {
  std::string out;
  l.on_response = [&](Conn&, const Response& rep) {
    out = std::string(rep.body);
    if (code) *code = rep.code;
    l.stop = true;
  };
  l.send(*l.conns[0], std::move(r));
  l.run();
  return out;
}
