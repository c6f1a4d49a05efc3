// One process at a time in a data directory.
#pragma once

#include <string>

#include "base/result.h"

namespace treadle::store {

class LockFile {
 public:
  LockFile() = default;
  LockFile(LockFile&& other) noexcept;
  LockFile& operator=(LockFile&& other) noexcept;
  ~LockFile();
  // Conflict, naming the process that has it, if there is one.
  static Result<LockFile> take(const std::string& dir);

 private:
  int fd_ = -1;
};

}  // namespace treadle::store
