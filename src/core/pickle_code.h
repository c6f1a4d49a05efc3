// Which Python a code object inside a pickle is for: another minor version would run its bytecode into a segmentation
// fault.
#pragma once

#include <cstdint>
#include <string_view>

namespace treadle::core {

// Bit n - pickle_tag::kBytecodeFirst for each Python 3.n (3.11 to 3.13) whose bytecode `code` can be; 0 = of none. A
// hint, made by walking instructions and their inline caches; never a proof.
std::uint8_t bytecode_versions(std::string_view code);

}  // namespace treadle::core
