// Room that is kept for finishing what was accepted: a file of its own, given up when the disk is full.
#pragma once

#include <cstdint>
#include <string>

namespace treadle::store {

class Reserve {
 public:
  // `bytes` 0: 64 MiB, or an eighth of a small file system.
  Reserve(const std::string& dir, std::uint64_t bytes);

  bool make();  // false: there is no room for it
  void give_up();
  // There is room for the reserve and as much again (`reusable`: free pages inside the database).
  bool has_room_again(std::uint64_t reusable) const;
  std::uint64_t bytes() const { return bytes_; }

 private:
  std::string dir_, path_;
  std::uint64_t bytes_;
};

std::uint64_t file_system_bytes(const std::string& dir);  // 0: unknown

}  // namespace treadle::store
