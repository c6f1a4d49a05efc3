// The floor under any HTTP server: epoll, read, find the blank line, write a constant. No parsing worth the name.
// It answers like a FaaS whose every task is done at once, so loadgen can be pointed at it: that gives the driver's own
// ceiling.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cstdlib>
#include <string_view>
int main(int argc, char** argv) {
  int l = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_port = htons((uint16_t)(argc > 1 ? atoi(argv[1]) : 8301));
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(l, (sockaddr*)&a, sizeof a) || listen(l, 512)) return 1;
  int ep = epoll_create1(0);
  epoll_event ev{}, evs[128];
  ev.events = EPOLLIN;
  ev.data.fd = l;
  epoll_ctl(ep, EPOLL_CTL_ADD, l, &ev);
  static const char rep[] =
      "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 144\r\n\r\n"
      "{\"task_id\":\"71ed469b-bc52-45d5-89ae-b21aa40760c9\",\"function_id\":\"0b0c2a1e-0f0e-4a53-9b6f-6c1d5f0f8a11\","
      "\"status\":\"COMPLETED\",\"result\":\"gAROLg==\"}";
  char buf[65536];
  for (;;) {
    int n = epoll_wait(ep, evs, 128, -1);
    for (int i = 0; i < n; ++i) {
      int fd = evs[i].data.fd;
      if (fd == l) {
        int c = accept4(l, nullptr, nullptr, SOCK_NONBLOCK);
        setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        ev.data.fd = c;
        epoll_ctl(ep, EPOLL_CTL_ADD, c, &ev);
        continue;
      }
      ssize_t r = read(fd, buf, sizeof buf);
      if (r <= 0) {
        close(fd);
        continue;
      }
      if (std::string_view(buf, (size_t)r).find("\r\n\r\n") != std::string_view::npos)
        if (write(fd, rep, sizeof rep - 1) < 0) close(fd);
    }
  }
}
