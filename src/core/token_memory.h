// Remembers the last tokens seen, in bounded memory, so that no attempt is ever begun twice on one worker.
#pragma once

#include <cstddef>
#include <vector>

#include "base/ids.h"

namespace treadle::core {

// Two tables that take turns: when the newer is half full it becomes the older one, whose content is forgotten. So at
// least the last `remembered` tokens are known, at most twice as many.
class TokenMemory {
 public:
  explicit TokenMemory(std::size_t remembered = 1u << 15) : limit_(remembered) {
    std::size_t size = 2;
    while (size < remembered * 2) size *= 2;
    newer_.resize(size);
    older_.resize(size);
  }

  bool contains(Token token) const {
    return newer_[place(newer_, token)] == token || older_[place(older_, token)] == token;
  }

  void insert(Token token) {
    if (used_ == limit_) {
      newer_.swap(older_);
      newer_.assign(newer_.size(), Token{});
      used_ = 0;
    }
    Token& cell = newer_[place(newer_, token)];
    if (!cell) ++used_;
    cell = token;
  }

 private:
  // The cell of the token, or the empty one where it would stand; a table is never more than half full.
  static std::size_t place(const std::vector<Token>& table, Token token) {
    const std::size_t mask = table.size() - 1;
    std::size_t i = static_cast<std::size_t>(token.value * 0x9e3779b97f4a7c15 >> 20) & mask;
    while (table[i] && table[i] != token) i = (i + 1) & mask;
    return i;
  }
  std::size_t limit_;
  std::size_t used_ = 0;  // cells of newer_ that are taken
  std::vector<Token> newer_, older_;
};

}  // namespace treadle::core
