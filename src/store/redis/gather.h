// Many answers into one: each has its place, and the last that comes hands all over.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/callback.h"

namespace treadle::store::redis {

template <class T>
class Gather : public std::enable_shared_from_this<Gather<T>> {
 public:
  Gather(std::size_t n, Callback<void(std::vector<T>&)> done) : answers_(n), waiting_(n), done_(std::move(done)) {}

  Callback<void(T)> slot(std::size_t i) {
    return [self = this->shared_from_this(), i](T answer) { self->take(i, std::move(answer)); };
  }

 private:
  void take(std::size_t i, T answer) {
    answers_[i].emplace(std::move(answer));
    if (--waiting_ > 0) return;
    std::vector<T> all;
    all.reserve(answers_.size());
    for (auto& one : answers_) all.push_back(std::move(*one));
    done_(all);
  }

  std::vector<std::optional<T>> answers_;
  std::size_t waiting_;
  Callback<void(std::vector<T>&)> done_;
};

template <class T, class Use>
std::shared_ptr<Gather<T>> gather(std::size_t n, Use done) {
  return std::make_shared<Gather<T>>(n, Callback<void(std::vector<T>&)>(std::move(done)));
}

}  // namespace treadle::store::redis
