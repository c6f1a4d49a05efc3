// Immutable bytes that many owners share: a payload is moved in once and never copied on its way.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace treadle {

// Cheap to copy (a reference count). Safe to share between threads, since nobody can write.
class Buffer {
 public:
  Buffer() = default;

  static Buffer of(std::string bytes) {
    auto owner = std::make_shared<const std::string>(std::move(bytes));
    const std::string_view view = *owner;
    return Buffer(std::move(owner), view);
  }
  // `owner` keeps `view` alive: a mapped file, or a larger buffer of which this is a part.
  static Buffer from(std::shared_ptr<const void> owner, std::string_view view) {
    return Buffer(std::move(owner), view);
  }

  std::string_view view() const { return view_; }
  const char* data() const { return view_.data(); }
  std::size_t size() const { return view_.size(); }
  bool empty() const { return view_.empty(); }
  friend bool operator==(const Buffer& a, const Buffer& b) { return a.view_ == b.view_; }

 private:
  Buffer(std::shared_ptr<const void> owner, std::string_view view) : owner_(std::move(owner)), view_(view) {}
  std::shared_ptr<const void> owner_;
  std::string_view view_;
};

}  // namespace treadle
