// Builds the JSON values of a body's fields from a parser's events, within a bound. A heavy header: for form.cpp only.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include <boost/json/object.hpp>
#include <boost/json/value_stack.hpp>

namespace treadle::gateway {

// Every call but start() and take() answers whether the bound still holds.
class FieldKeeper {
 public:
  using string_view = boost::json::string_view;

  // `budget`: bytes of text that may be kept, with kNode for each value; 0: nothing is kept at all.
  void start(std::uint64_t budget) {
    keeping_ = budget > 0;
    left_ = budget;
    if (keeping_) stack_.reset();
  }
  bool keeping() const { return keeping_; }

  bool chars(string_view part) { return spend(part.size()) && (stack_.push_chars(part), true); }
  bool key(string_view rest) { return spend(rest.size()) && (stack_.push_key(rest), true); }
  bool string(string_view rest) { return spend(rest.size() + kNode) && (stack_.push_string(rest), true); }
  bool integer(std::int64_t value) { return spend(kNode) && (stack_.push_int64(value), true); }
  bool natural(std::uint64_t value) { return spend(kNode) && (stack_.push_uint64(value), true); }
  bool real(double value) { return spend(kNode) && (stack_.push_double(value), true); }
  bool boolean(bool value) { return spend(kNode) && (stack_.push_bool(value), true); }
  bool null() { return spend(kNode) && (stack_.push_null(), true); }
  bool array(std::size_t size) { return spend(kNode) && (stack_.push_array(size), true); }
  bool object(std::size_t size) { return spend(kNode) && (stack_.push_object(size), true); }

  // The whole body, which is an object and has been read to its end.
  std::shared_ptr<boost::json::object> take() {
    return std::make_shared<boost::json::object>(std::move(stack_.release().as_object()));
  }

 private:
  static constexpr std::uint64_t kNode = 16;  // of a boost::json::value, beside its text

  bool spend(std::uint64_t bytes) {
    if (bytes > left_) return false;
    left_ -= bytes;
    return true;
  }

  boost::json::value_stack stack_;
  bool keeping_ = false;
  std::uint64_t left_ = 0;
};

}  // namespace treadle::gateway
