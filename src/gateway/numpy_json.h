// numpy's scalars and arrays as JSON, from what their pickles say: numbers, text, lists in lists.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gateway/plain_pickle.h"

namespace treadle::gateway {

// One of those: `shape` is empty for a scalar. Elements lie in rows (or, `by_columns`, the first index runs fastest).
struct NumpyValue {
  char type = 0;  // 'b', 'i', 'u', 'f', 'U'; 'O': `objects`
  std::uint64_t width = 0;
  bool big_endian = false;
  bool by_columns = false;
  std::vector<std::uint64_t> shape;
  std::string_view bytes;
  const std::vector<PlainPickle::Index>* objects = nullptr;
  std::uint64_t count = 1;  // of elements
};

// Nothing: a call of something else. Invalid: it is numpy's, and why it cannot be shown.
Result<std::optional<NumpyValue>> read_numpy(const PlainPickle& pickle, const PlainPickle::Value& call);
// Element number `at` of `bytes`; not for 'O'. False: it is NaN or infinite.
bool append_numpy_element(std::string& out, const NumpyValue& of, std::uint64_t at);

}  // namespace treadle::gateway
