#include "store/sqlite/blobs.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <utility>

namespace treadle::store {
namespace {

namespace fs = std::filesystem;

BlobName named(const std::string& stem, const char* kind) { return {stem.substr(stem.size() - 2), stem + kind}; }

Error disk_error(const std::string& what, const std::string& path, int error) {
  const bool full = error == ENOSPC || error == EDQUOT;
  return fail(full ? Code::DiskFull : Code::StoreError,
              what + " " + path + ": " + std::strerror(error) + (full ? ". Free some space." : "."));
}

bool write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t done = ::write(fd, bytes.data(), bytes.size());
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(done));
  }
  return true;
}

}  // namespace

BlobName BlobName::args(TaskId id) { return named(to_string(id), ".args"); }
BlobName BlobName::result(TaskId id) { return named(to_string(id), ".result"); }
BlobName BlobName::body(const Digest& digest) { return named(to_string(digest), ".body"); }

bool sync_folder(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool done = fsync(fd) == 0;
  const int error = errno;
  close(fd);
  errno = error;
  return done;
}

Result<void> Blobs::make_folder(const std::string& path) const {
  if (mkdir(path.c_str(), 0700) != 0) {
    if (errno == EEXIST) return {};
    return disk_error("cannot make the folder", path, errno);
  }
  const std::string parent = fs::path(path).parent_path().string();
  if (synced_ && !sync_folder(parent)) return disk_error("cannot sync", parent, errno);
  return {};
}

Result<void> Blobs::write(const BlobName& name, std::string_view bytes) const {
  if (auto made = make_folder(dir_); !made) return made;
  if (auto made = make_folder(dir_ + "/" + name.folder); !made) return made;
  const std::string path = path_of(name);
  struct stat known;
  const bool is_body = name.file.ends_with(".body");  // named by its content, so it is the same
  if (is_body && stat(path.c_str(), &known) == 0 && static_cast<std::size_t>(known.st_size) == bytes.size()) return {};
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return disk_error("cannot make", path, errno);
  const bool written = write_all(fd, bytes) && (!synced_ || fdatasync(fd) == 0);
  const int error = errno;
  close(fd);
  if (!written) {
    unlink(path.c_str());
    return disk_error("cannot write", path, error);
  }
  if (synced_ && !sync_folder(dir_ + "/" + name.folder)) return disk_error("cannot sync the folder of", path, errno);
  bytes_ += bytes.size();
  return {};
}

Result<Buffer> Blobs::read(const BlobName& name) const {
  const std::string path = path_of(name);
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return fail(Code::StoreError, "The payload file " + path + " cannot be opened: " + std::strerror(errno) + ".");
  struct stat known;
  if (fstat(fd, &known) != 0 || known.st_size == 0) {
    close(fd);
    return fail(Code::StoreError, "The payload file " + path + " is empty.");
  }
  const auto size = static_cast<std::size_t>(known.st_size);
  void* data = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  const int error = errno;
  close(fd);
  if (data == MAP_FAILED)
    return fail(Code::StoreError, "The payload file " + path + " cannot be mapped: " + std::strerror(error) + ".");
  std::shared_ptr<const void> owner(data, [size](const void* mapped) { munmap(const_cast<void*>(mapped), size); });
  return Buffer::from(std::move(owner), {static_cast<const char*>(data), size});
}

void Blobs::remove(const BlobName& name) const {
  const std::string path = path_of(name);
  struct stat known;
  if (stat(path.c_str(), &known) == 0 && unlink(path.c_str()) == 0) bytes_ -= static_cast<std::uint64_t>(known.st_size);
}

void Blobs::sweep(const std::function<bool(const std::string& file)>& is_known) const {
  std::error_code error;
  for (fs::recursive_directory_iterator it(dir_, error), end; !error && it != end; it.increment(error)) {
    std::error_code ignored;
    if (!it->is_regular_file(ignored)) continue;
    if (is_known(it->path().filename().string())) {
      bytes_ += it->file_size(ignored);
    } else {
      fs::remove(it->path(), ignored);
    }
  }
}

}  // namespace treadle::store
