#include "core/pickle_code.h"

#include <array>
#include <cstddef>

namespace treadle::core {
namespace {

struct Caches {
  std::uint8_t opcode, units;
};

// Generated once from Lib/opcode.py of each version: defined opcodes as bits, units (2 bytes) of inline cache behind
// some.
struct Version {
  std::uint8_t resume, extended_arg;
  std::array<std::uint8_t, 4> before_resume;  // MAKE_CELL, COPY_FREE_VARS, RETURN_GENERATOR, POP_TOP
  std::array<std::uint64_t, 4> defined;
  std::array<Caches, 19> caches;
};

constexpr std::array<Version, 3> kVersions = {{
    {151,
     144,
     {135, 149, 75, 1},  // 3.11
     {0x307e003bc2009e06u, 0x7dfdfffffffc0cf0u, 0x1f87d39bf5fffu, 0},
     {{{25, 4}, {60, 1}, {92, 1}, {95, 4}, {106, 4}, {107, 2}, {116, 5}, {122, 1}, {160, 10}, {166, 1}, {171, 4}}}},
    {151,
     144,
     {135, 149, 75, 1},  // 3.12
     {0x30fe003bce029a3eu, 0xfffc7ffffea80cb0u, 0x1f83c39efffffu, 0},
     {{{25, 1},
       {60, 1},
       {92, 1},
       {93, 1},
       {95, 4},
       {106, 9},
       {107, 1},
       {116, 4},
       {122, 1},
       {123, 1},
       {141, 1},
       {171, 3}}}},
    {149,
     71,
     {94, 62, 35, 32},  // 3.13
     {0xfffffffffffffff6u, 0x7fffffffffffffu, 0x200000u, 0},
     {{{5, 1},
       {39, 1},
       {40, 3},
       {45, 1},
       {53, 3},
       {58, 1},
       {59, 1},
       {72, 1},
       {77, 1},
       {82, 9},
       {91, 4},
       {93, 1},
       {97, 1},
       {98, 1},
       {99, 1},
       {100, 1},
       {104, 1},
       {108, 4},
       {117, 1}}}},
}};

// For each opcode of a version: 0xff = undefined, else units of its cache.
using UnitTable = std::array<std::uint8_t, 256>;
constexpr UnitTable units_of(const Version& version) {
  UnitTable table{};
  for (std::size_t op = 0; op < 256; ++op) table[op] = version.defined[op / 64] >> (op % 64) & 1 ? 0 : 0xff;
  for (const Caches& cache : version.caches) {
    if (cache.units) table[cache.opcode] = cache.units;
  }
  return table;
}
constexpr std::array<UnitTable, 3> kUnits = {units_of(kVersions[0]), units_of(kVersions[1]), units_of(kVersions[2])};

std::uint8_t byte_at(std::string_view code, std::size_t i) { return static_cast<std::uint8_t>(code[i]); }

// Of 3.8 to 3.10, which have no caches: defined opcodes as bits.
constexpr std::array<std::array<std::uint64_t, 4>, 3> kOldDefined = {{
    {0xfbfc00003fdb9e7eu, 0x741ffff7fffefbffu, 0xf7fffe7bcu, 0},
    {0xfbdf00003fdb9e7eu, 0x767ffff7fefcffffu, 0x3f3c1fe7bcu, 0},
    {0xfbde0007ffdb9e7eu, 0x76fffffffefcffffu, 0x3f3d1fe7beu, 0},
}};
constexpr std::uint8_t kEndFinally = 88, kCallFinally = 162, kPopFinally = 163;  // 3.9 uses the last two for lists

std::uint8_t old_versions(std::string_view code) {
  std::uint8_t versions = 7;
  bool ends_finally = false, is_finally = false;
  for (std::size_t i = 0; i < code.size() && versions != 0; i += 2) {
    const std::uint8_t op = byte_at(code, i);
    ends_finally |= op == kEndFinally;
    is_finally |= op == kCallFinally || op == kPopFinally;
    for (std::size_t v = 0; v < kOldDefined.size(); ++v) {
      if (!(kOldDefined[v][op / 64] >> (op % 64) & 1)) versions &= static_cast<std::uint8_t>(~(1u << v));
    }
  }
  return is_finally && !ends_finally ? versions & 6 : versions;
}

// Everything of 3.11 and later has a RESUME, behind a few opcodes that set up cells or a generator.
bool begins_like(const Version& version, std::string_view code) {
  for (std::size_t i = 0; i < code.size(); i += 2) {
    const std::uint8_t op = byte_at(code, i);
    if (op == version.resume) return true;
    if (op == version.extended_arg) continue;
    bool may_precede = false;
    for (const std::uint8_t early : version.before_resume) may_precede |= op == early;
    if (!may_precede) return false;
  }
  return false;
}

// Caches are written as zeros, and 0 is no opcode: a walk with another version's cache lengths soon hits one or the
// other.
bool walks(const UnitTable& units, std::string_view code) {
  for (std::size_t i = 0; i < code.size();) {
    const std::uint8_t cache = units[byte_at(code, i)];
    if (cache == 0xff) return false;
    i += 2;
    if (code.size() - i < std::size_t{cache} * 2) return false;
    for (const std::size_t end = i + std::size_t{cache} * 2; i < end; ++i) {
      if (code[i] != 0) return false;
    }
  }
  return true;
}

}  // namespace

std::uint8_t bytecode_versions(std::string_view code) {
  if (code.size() < 4 || code.size() % 2) return 0;
  std::uint8_t versions = old_versions(code);
  for (std::size_t i = 0; i < kVersions.size(); ++i) {
    if (begins_like(kVersions[i], code) && walks(kUnits[i], code)) versions |= static_cast<std::uint8_t>(8u << i);
  }
  return versions;
}

std::uint16_t code_lengths(std::string_view bytes) {
  std::size_t covered = 0;
  for (std::size_t i = 0; i < bytes.size(); i += 2) covered += byte_at(bytes, i);
  return static_cast<std::uint16_t>((bytes.size() / 2 & 127) << 7 | (covered / 2 & 127));
}

bool covers(std::uint16_t lines, std::uint16_t code) { return (lines & 127) == code >> 7; }

}  // namespace treadle::core
