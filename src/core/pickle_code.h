// Which Python a code object inside a pickle is for: another minor version would run its bytecode into a segmentation
// fault.
#pragma once

#include <cstdint>
#include <string_view>

namespace treadle::core {

// Bit n - kFirstPython for each Python 3.n (3.8 to 3.13) whose bytecode `code` can be; 0 = of none. A hint, made by
// walking instructions and their inline caches; never a proof.
std::uint8_t bytecode_versions(std::string_view code);

// The same for code that nobody walked: of any of them, or of a later one.
inline constexpr std::uint8_t kUnreadCode = 127;

// How long `bytes` is as bytecode, and how much bytecode it covers as a table of line numbers of Python 3.10: 7 bits of
// each, of their halves. The table of 3.10 covers its code exactly; those of 3.8 and 3.9 end where the last line
// begins.
std::uint16_t code_lengths(std::string_view bytes);
bool covers(std::uint16_t lines, std::uint16_t code);

}  // namespace treadle::core
