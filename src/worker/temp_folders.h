// The folders in which tasks put temporary files: one for each executor, below one of this process. An executor makes
// its own and empties it after each task; what a killed one leaves is removed here, on a thread of its own, since it
// may be a million files.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <thread>

#include "base/result.h"

namespace treadle::worker {

class TempFolders {
 public:
  // Makes the folder of this process in `where` ("" = $TMPDIR, else /tmp), and removes those of processes that are
  // dead.
  explicit TempFolders(const std::string& where);
  // Removes all of it.
  ~TempFolders();
  TempFolders(const TempFolders&) = delete;
  TempFolders& operator=(const TempFolders&) = delete;

  const std::string& base() const { return base_; }  // "" if none could be made: then tasks use the machine's
  std::string folder_of(std::uint32_t executor) const;
  // The executor is gone. The thread is started by the first one that has left something.
  void remove(std::uint32_t executor);

 private:
  void sweep(const std::string& where);
  void run();

  std::string base_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::string> left_;  // at most one for each executor that has died
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace treadle::worker
