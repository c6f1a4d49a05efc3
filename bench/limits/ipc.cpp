// Ping-pong latency between two processes, and the price of fork. Prints JSON lines. Times are per round trip,
// microseconds.
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>
static double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}
static void pin(int c) {
  if (c < 0) return;
  cpu_set_t s;
  CPU_ZERO(&s);
  CPU_SET(c, &s);
  sched_setaffinity(0, sizeof s, &s);
}
static double cpu(int who) {
  rusage u;
  getrusage(who, &u);
  return u.ru_utime.tv_sec + u.ru_stime.tv_sec + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}
static void pingpong(const char* name, int ra, int wa, int rb, int wb, int cpu_a, int cpu_b, int n, size_t size) {
  std::string out(size, 'x');
  std::vector<char> in(size);
  auto xfer = [&](int r, int w, bool first) {
    auto rd = [&] {
      for (size_t k = 0; k < size;) {
        ssize_t x = read(r, in.data() + k, size - k);
        if (x <= 0) _exit(1);
        k += (size_t)x;
      }
    };
    auto wr = [&] {
      for (size_t k = 0; k < size;) {
        ssize_t x = write(w, out.data() + k, size - k);
        if (x <= 0) _exit(1);
        k += (size_t)x;
      }
    };
    if (first) {
      wr();
      rd();
    } else {
      rd();
      wr();
    }
  };
  double c0 = cpu(RUSAGE_SELF), ch0 = cpu(RUSAGE_CHILDREN);
  pid_t p = fork();
  if (p == 0) {
    pin(cpu_b);
    for (int i = 0; i < n; ++i) xfer(rb, wb, false);
    _exit(0);
  }
  pin(cpu_a);
  std::vector<double> v;
  v.reserve((size_t)n);
  double t0 = now();
  for (int i = 0; i < n; ++i) {
    double t = now();
    xfer(ra, wa, true);
    v.push_back((now() - t) * 1e6);
  }
  double d = now() - t0;
  waitpid(p, nullptr, 0);
  double busy = cpu(RUSAGE_SELF) - c0 + cpu(RUSAGE_CHILDREN) - ch0;
  std::sort(v.begin(), v.end());
  printf("{\"limit\":\"%s\",\"bytes\":%zu,\"mean_us\":%.2f,\"p50_us\":%.2f,\"p99_us\":%.2f,\"cpu_us\":%.2f}\n", name,
         size, d / n * 1e6, v[(size_t)n / 2], v[(size_t)(n * .99)], busy / n * 1e6);
  fflush(stdout);
}
int main() {
  const int N = 60000;
  int a[2], b[2], s[2];
  for (auto [tag, ca, cb] : {std::tuple{"same-core", 0, 0}, std::tuple{"two-cores", 0, 1}}) {
    for (size_t sz : {(size_t)64, (size_t)65536}) {
      int n = sz > 1000 ? N / 6 : N;
      (void)!pipe(a), (void)!pipe(b);
      pingpong((std::string("pipe-") + tag).c_str(), b[0], a[1], a[0], b[1], ca, cb, n, sz);
      for (int f : {a[0], a[1], b[0], b[1]}) close(f);
      (void)!socketpair(AF_UNIX, SOCK_STREAM, 0, s);
      pingpong((std::string("unix-") + tag).c_str(), s[0], s[0], s[1], s[1], ca, cb, n, sz);
      close(s[0]), close(s[1]);
      int l = socket(AF_INET, SOCK_STREAM, 0), one = 1;
      sockaddr_in ad{};
      ad.sin_family = AF_INET;
      ad.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      socklen_t len = sizeof ad;
      (void)bind(l, (sockaddr*)&ad, len), (void)listen(l, 1), (void)getsockname(l, (sockaddr*)&ad, &len);
      int c = socket(AF_INET, SOCK_STREAM, 0);
      (void)connect(c, (sockaddr*)&ad, len);
      int d = accept(l, nullptr, nullptr);
      setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one),
          setsockopt(d, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
      pingpong((std::string("tcp-") + tag).c_str(), c, c, d, d, ca, cb, n, sz);
      close(l), close(c), close(d);
    }
  }
  // A pair of spinning threads' worth of shared memory: the floor when nobody sleeps.
  auto* m = (std::atomic<int>*)mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  m[0] = 0;
  pid_t p = fork();
  if (p == 0) {
    pin(1);
    for (int i = 0; i < N; ++i) {
      while (m[0].load(std::memory_order_acquire) != 2 * i + 1) {
      }
      m[0].store(2 * i + 2, std::memory_order_release);
    }
    _exit(0);
  }
  pin(0);
  double t0 = now();
  for (int i = 0; i < N; ++i) {
    m[0].store(2 * i + 1, std::memory_order_release);
    while (m[0].load(std::memory_order_acquire) != 2 * i + 2) {
    }
  }
  printf("{\"limit\":\"shm-spin-two-cores\",\"mean_us\":%.3f}\n", (now() - t0) / N * 1e6);
  waitpid(p, nullptr, 0);
  // fork + _exit + wait of a small C++ process, and vfork+exec of true
  const int F = 2000;
  t0 = now();
  for (int i = 0; i < F; ++i) {
    p = fork();
    if (p == 0) _exit(0);
    waitpid(p, nullptr, 0);
  }
  printf("{\"limit\":\"fork-exit-small\",\"mean_us\":%.1f}\n", (now() - t0) / F * 1e6);
  t0 = now();
  for (int i = 0; i < 500; ++i) {
    p = vfork();
    if (p == 0) {
      execl("/bin/true", "true", nullptr);
      _exit(1);
    }
    waitpid(p, nullptr, 0);
  }
  printf("{\"limit\":\"vfork-exec-true\",\"mean_us\":%.1f}\n", (now() - t0) / 500 * 1e6);
}
