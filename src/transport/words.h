// The words and bits that stand for enumerators in a header.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "core/model.h"

namespace treadle::transport {

inline constexpr std::array<std::string_view, 5> kGiveBackWords = {"unstarted", "worker_lost", "killed", "suspect",
                                                                   "retry"};
inline constexpr std::array<std::string_view, 3> kSerializerWords = {"pickle", "source", "json"};

// Flags of an attempt.
inline constexpr std::uint64_t kAtMostOnce = 1;
inline constexpr std::uint64_t kFresh = 2;
inline constexpr std::uint64_t kSuspect = 4;

inline std::string_view give_back_word(core::GiveBack why) { return kGiveBackWords[static_cast<std::size_t>(why)]; }
inline std::string_view serializer_word(core::Serializer s) { return kSerializerWords[static_cast<std::size_t>(s)]; }

inline std::optional<core::GiveBack> parse_give_back(std::string_view word) {
  for (std::size_t i = 0; i < kGiveBackWords.size(); ++i)
    if (kGiveBackWords[i] == word) return static_cast<core::GiveBack>(i);
  return std::nullopt;
}

}  // namespace treadle::transport
