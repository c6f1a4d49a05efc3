/* LD_PRELOAD: makes file writes fail or come short, and moves the wall clock, on command. CHAOS_CONTROL names a file of eight 64-bit
   numbers that the campaign writes and this reads (a shared mapping):
     0 error of fsync and fdatasync   1 error of writes   2 one in so many is struck   3 writes are cut to a half (1 = yes)
     4 seconds that the wall clock is wrong               5 calls that failed so far   6 writes that came short   7 wrong clock reads
   Only files below CHAOS_DIR are struck. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { kSyncError, kWriteError, kOneIn, kShort, kClock, kFailed, kShortened, kWrongReads, kCount };
static volatile int64_t *control;
static unsigned turn;

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("CHAOS_CONTROL");
  const int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
  if (fd < 0) return;
  void *at = mmap(0, kCount * sizeof(int64_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (at != MAP_FAILED) control = at;
}

static void count(int what) { __atomic_add_fetch((int64_t *)&control[what], 1, __ATOMIC_RELAXED); }

static int is_ours(int fd) {
  const char *dir = getenv("CHAOS_DIR");
  char link[64], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t size = readlink(link, path, sizeof path - 1);
  if (!dir || size <= 0) return 0;
  path[size] = 0;
  return strncmp(path, dir, strlen(dir)) == 0;
}

static int is_turn(void) {
  const int64_t one_in = control[kOneIn] > 0 ? control[kOneIn] : 1;
  return __atomic_add_fetch(&turn, 1, __ATOMIC_RELAXED) % (unsigned)one_in == 0;
}

/* Whether this call fails; errno says how. */
static int fails(int fd, int which) {
  if (!control || control[which] == 0 || !is_ours(fd) || !is_turn()) return 0;
  count(kFailed);
  errno = (int)control[which];
  return 1;
}

/* How many bytes of a write may pass. */
static size_t allowed(int fd, size_t size) {
  if (!control || !control[kShort] || size < 2 || !is_ours(fd) || !is_turn()) return size;
  count(kShortened);
  return size / 2;
}

#define REAL(type, name, ...)                                   \
  static type (*real)(__VA_ARGS__);                             \
  if (!real) real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

int fsync(int fd) {
  REAL(int, "fsync", int);
  return fails(fd, kSyncError) ? -1 : real(fd);
}

int fdatasync(int fd) {
  REAL(int, "fdatasync", int);
  return fails(fd, kSyncError) ? -1 : real(fd);
}

ssize_t write(int fd, const void *data, size_t size) {
  REAL(ssize_t, "write", int, const void *, size_t);
  return fails(fd, kWriteError) ? -1 : real(fd, data, allowed(fd, size));
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
  REAL(ssize_t, "pwrite", int, const void *, size_t, off_t);
  return fails(fd, kWriteError) ? -1 : real(fd, data, allowed(fd, size), at);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
  REAL(ssize_t, "pwrite64", int, const void *, size_t, off64_t);
  return fails(fd, kWriteError) ? -1 : real(fd, data, allowed(fd, size), at);
}

ssize_t writev(int fd, const struct iovec *parts, int number) {
  REAL(ssize_t, "writev", int, const struct iovec *, int);
  return fails(fd, kWriteError) ? -1 : real(fd, parts, number);
}

static int64_t wrong_by(void) {
  if (!control || control[kClock] == 0) return 0;
  count(kWrongReads);
  return control[kClock];
}

int clock_gettime(clockid_t clock, struct timespec *out) {
  REAL(int, "clock_gettime", clockid_t, struct timespec *);
  const int result = real(clock, out);
  if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) out->tv_sec += wrong_by();
  return result;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone) {
  REAL(int, "gettimeofday", struct timeval *restrict, void *restrict);
  const int result = real(out, zone);
  if (result == 0) out->tv_sec += wrong_by();
  return result;
}

time_t time(time_t *out) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (out) *out = now.tv_sec;
  return now.tv_sec;
}
