// A stack of plain values that starts inside its owner: a small pickle is verified without an allocation.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <type_traits>
#include <utility>

namespace treadle::core {

template <class T, std::size_t N>
class PickleStack {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  PickleStack() {}  // not defaulted: value initialisation would clear inline_
  PickleStack(const PickleStack&) = delete;
  PickleStack& operator=(const PickleStack&) = delete;

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  T& operator[](std::size_t i) { return data_[i]; }
  T& back() { return data_[size_ - 1]; }
  void push_back(const T& value) {
    if (size_ == capacity_) grow();
    data_[size_++] = value;
  }
  void pop_back() { --size_; }
  void cut(std::size_t size) { size_ = size; }
  // Empty again; memory that a big pickle took is given back.
  void clear() {
    size_ = 0;
    capacity_ = N;
    data_ = reinterpret_cast<T*>(inline_);
    heap_.reset();
  }

 private:
  void grow() {
    auto larger = std::make_unique_for_overwrite<T[]>(capacity_ * 2);
    std::memcpy(static_cast<void*>(larger.get()), data_, size_ * sizeof(T));
    heap_ = std::move(larger);
    data_ = heap_.get();
    capacity_ *= 2;
  }

  std::size_t size_ = 0;
  std::size_t capacity_ = N;
  alignas(
      T) std::byte inline_[N * sizeof(T)];   // never filled before it is used: that would cost more than a small pickle
  T* data_ = reinterpret_cast<T*>(inline_);  // or heap_
  std::unique_ptr<T[]> heap_;
};

}  // namespace treadle::core
