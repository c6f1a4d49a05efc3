/* LD_PRELOAD: keeps, beside a data directory, what of it would survive a power loss at this moment. A file survives as it was
   at its last fsync or fdatasync; a directory entry survives if the directory was synced since. POWERLOSS_DIR is watched,
   POWERLOSS_SHADOW holds content/PATH and names/PATH (a listing), with '%' for '/'. Nothing is really synced: that is the point. */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static __thread unsigned long serial;

/* The path of fd below POWERLOSS_DIR, with '%' for '/', ROOT for the directory itself; 0 if it is elsewhere. */
static int watched(int fd, char *out) {
  const char *dir = getenv("POWERLOSS_DIR");
  char link[64], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t size = readlink(link, path, sizeof path - 1);
  if (!dir || size <= 0) return 0;
  path[size] = 0;
  const size_t length = strlen(dir);
  if (strncmp(path, dir, length) != 0 || (path[length] != '/' && path[length] != 0)) return 0;
  snprintf(out, PATH_MAX, "%s", path[length] ? path + length + 1 : "ROOT");
  for (char *c = out; *c; ++c)
    if (*c == '/') *c = '%';
  return 1;
}

static int begin(const char *kind, const char *name, char *temporary, char *final) {
  const char *shadow = getenv("POWERLOSS_SHADOW");
  snprintf(final, PATH_MAX, "%s/%s/%s", shadow, kind, name);
  snprintf(temporary, PATH_MAX, "%s/tmp-%d-%p-%lu", shadow, getpid(), (void *)&serial, ++serial);
  return open(temporary, O_WRONLY | O_CREAT | O_TRUNC, 0600);
}

static void keep_content(int fd, const char *name) {
  static const size_t kStep = 1 << 20;
  char temporary[PATH_MAX], final[PATH_MAX], link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const int from = open(link, O_RDONLY);
  const int to = begin("content", name, temporary, final);
  char *buffer = malloc(kStep);
  ssize_t n;
  while ((n = read(from, buffer, kStep)) > 0)
    if (write(to, buffer, (size_t)n) != n) abort();
  free(buffer);
  close(from);
  close(to);
  rename(temporary, final); /* whole or not at all */
}

static void keep_names(int fd, const char *name) {
  char temporary[PATH_MAX], final[PATH_MAX], link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const int to = begin("names", name, temporary, final);
  DIR *dir = opendir(link);
  struct dirent *entry;
  while (dir && (entry = readdir(dir)))
    if (entry->d_name[0] != '.') dprintf(to, "%s\n", entry->d_name);
  if (dir) closedir(dir);
  close(to);
  rename(temporary, final);
}

static int keep(int fd) {
  char name[PATH_MAX];
  struct stat info;
  if (!watched(fd, name) || fstat(fd, &info) != 0) return 0;
  S_ISDIR(info.st_mode) ? keep_names(fd, name) : keep_content(fd, name);
  return 0;
}

int fdatasync(int fd) { return keep(fd); }
int fsync(int fd) { return keep(fd); }
int sync_file_range(int fd, off64_t offset, off64_t count, unsigned flags) {
  (void)fd, (void)offset, (void)count, (void)flags;
  return 0;
}
