// A map that forgets what was not used for longest when its values weigh too much together.
#pragma once

#include <cstdint>
#include <list>
#include <utility>

#include <boost/unordered/unordered_flat_map.hpp>

#include "base/ids.h"

namespace treadle::store {

struct DigestHash {
  std::size_t operator()(const Digest& digest) const { return static_cast<std::size_t>(digest.words[0]); }
};

template <class Key, class Value, class Hash = std::hash<Key>>
class ByteLru {
 public:
  explicit ByteLru(std::uint64_t max_bytes) : max_bytes_(max_bytes) {}

  // Null: not here. Valid until the next put.
  const Value* find(const Key& key) {
    const auto it = index_.find(key);
    if (it == index_.end()) return nullptr;
    order_.splice(order_.begin(), order_, it->second);
    return &it->second->value;
  }
  void put(const Key& key, Value value, std::uint64_t bytes) {
    erase(key);
    order_.push_front({key, std::move(value), bytes});
    index_[key] = order_.begin();
    bytes_ += bytes;
    while (bytes_ > max_bytes_ && !order_.empty()) erase(Key(order_.back().key));
  }
  void erase(const Key& key) {
    const auto it = index_.find(key);
    if (it == index_.end()) return;
    bytes_ -= it->second->bytes;
    order_.erase(it->second);
    index_.erase(it);
  }
  std::uint64_t bytes() const { return bytes_; }

 private:
  struct Node {
    Key key;
    Value value;
    std::uint64_t bytes;
  };
  std::list<Node> order_;  // most recently used first
  boost::unordered_flat_map<Key, typename std::list<Node>::iterator, Hash> index_;
  std::uint64_t max_bytes_;
  std::uint64_t bytes_ = 0;
};

}  // namespace treadle::store
