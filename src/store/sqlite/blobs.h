// Payloads above limits::kInline, each in a file of its own below blobs/: so that no row and no commit ever carries
// them.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>

#include "base/buffer.h"
#include "base/ids.h"
#include "base/result.h"

namespace treadle::store {

// Where a payload lies: "blobs/<2 hex>/<id>.<kind>", spread by the last byte of the id, which is random.
struct BlobName {
  std::string folder;  // "3f"
  std::string file;    // "<id>.args"
  static BlobName args(TaskId id);
  static BlobName result(TaskId id);
  static BlobName body(const Digest& digest);
};

// Safe to use from several threads, for different files.
class Blobs {
 public:
  // `synced`: a file and its folders are on the disk before write() returns.
  Blobs(std::string dir, bool synced) : dir_(std::move(dir)), synced_(synced) {}

  // DiskFull: there was no room, and nothing is left of it. Any other failure of the disk is StoreError.
  Result<void> write(const BlobName& name, std::string_view bytes) const;
  // Mapped, not copied; the file may be removed while it is mapped.
  Result<Buffer> read(const BlobName& name) const;
  void remove(const BlobName& name) const;
  // Removes every file for which `is_known` is false, and counts the others. At start only.
  void sweep(const std::function<bool(const std::string& file)>& is_known) const;
  std::uint64_t bytes() const { return bytes_; }  // of all files

 private:
  Result<void> make_folder(const std::string& path) const;
  std::string path_of(const BlobName& name) const { return dir_ + "/" + name.folder + "/" + name.file; }
  std::string dir_;
  bool synced_;
  mutable std::atomic<std::uint64_t> bytes_{0};
};

// Makes names in the folder durable. False: the disk failed (errno).
bool sync_folder(const std::string& path);

}  // namespace treadle::store
