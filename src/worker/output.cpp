#include "worker/output.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/limits.h"

namespace treadle::worker {
namespace {

constexpr std::size_t kWholeMark = kMarkBytes + sizeof(std::uint64_t);
constexpr char kStartBit = static_cast<char>(0x80);
constexpr std::size_t kOutputKept = core::limits::kOutputKept;
constexpr std::size_t kAllKept = 16 * kOutputKept;  // of all unanswered tasks of one executor together
constexpr std::size_t kChunksKept = 16384;          // likewise

// Length of the UTF-8 character at the front, or 0 if there is none (RFC 3629: no overlong forms, no surrogates).
std::size_t character_length(std::string_view s) {
  const auto byte = [&](std::size_t i) { return i < s.size() ? static_cast<unsigned char>(s[i]) : 0u; };
  const auto continues = [&](std::size_t i) { return (byte(i) & 0xC0u) == 0x80u; };
  const unsigned lead = byte(0);
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) return continues(1) ? 2 : 0;
  if (lead >= 0xE0 && lead <= 0xEF) {
    const bool second = continues(1) && (lead != 0xE0 || byte(1) >= 0xA0) && (lead != 0xED || byte(1) < 0xA0);
    return second && continues(2) ? 3 : 0;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {
    const bool second = continues(1) && (lead != 0xF0 || byte(1) >= 0x90) && (lead != 0xF4 || byte(1) < 0x90);
    return second && continues(2) && continues(3) ? 4 : 0;
  }
  return 0;
}

bool is_ascii(std::string_view bytes) {
  unsigned char all = 0;
  for (const char c : bytes) all |= static_cast<unsigned char>(c);
  return all < 0x80;
}

// Where the mark or the start mark begins: they differ in the first byte only.
std::size_t find_mark(std::string_view bytes, const Mark& mark) {
  const std::string_view tail(mark.data() + 1, kMarkBytes - 1);
  for (std::size_t from = 1; from < bytes.size();) {
    const void* hit = ::memmem(bytes.data() + from, bytes.size() - from, tail.data(), tail.size());
    if (!hit) return std::string_view::npos;
    const std::size_t at = static_cast<std::size_t>(static_cast<const char*>(hit) - bytes.data()) - 1;
    if (((bytes[at] ^ mark[0]) & ~kStartBit) == 0) return at;
    from = at + 2;
  }
  return std::string_view::npos;
}

// How many bytes at the end may be the beginning of a mark.
std::size_t possible_mark(std::string_view bytes, const Mark& mark) {
  for (std::size_t length = std::min(bytes.size(), kMarkBytes - 1); length > 0; --length) {
    const std::string_view end = bytes.substr(bytes.size() - length);
    if (((end[0] ^ mark[0]) & ~kStartBit) == 0 && std::memcmp(end.data() + 1, mark.data() + 1, length - 1) == 0) {
      return length;
    }
  }
  return 0;
}

}  // namespace

std::string printable_tail(std::string_view bytes, std::size_t most) {
  if (bytes.size() > most) {
    bytes.remove_prefix(bytes.size() - most);
    for (int i = 0; i < 3 && !bytes.empty() && (static_cast<unsigned char>(bytes[0]) & 0xC0) == 0x80; ++i) {
      bytes.remove_prefix(1);
    }
  }
  if (is_ascii(bytes)) return std::string(bytes);
  std::string text;
  text.reserve(bytes.size());
  while (!bytes.empty()) {
    const std::size_t length = character_length(bytes);
    if (length == 0) {
      text += "\xEF\xBF\xBD";
    } else {
      text.append(bytes.substr(0, length));
    }
    bytes.remove_prefix(length == 0 ? 1 : length);
  }
  // Each replaced byte became three: cut again, at whole characters this time.
  return text.size() > most ? printable_tail(text, most) : text;
}

std::string_view whole_characters(std::string_view bytes) {
  for (std::size_t back = 1; back <= std::min<std::size_t>(3, bytes.size()); ++back) {
    const auto byte = static_cast<unsigned char>(bytes[bytes.size() - back]);
    if ((byte & 0xC0) == 0x80) continue;
    const std::size_t wanted = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC0 ? 2 : 1;
    return wanted > back ? bytes.substr(0, bytes.size() - back) : bytes;
  }
  return bytes;
}

std::string same_length_text(std::string_view bytes) {
  std::string text(bytes);
  if (is_ascii(bytes)) return text;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = character_length(bytes.substr(at));
    if (length == 0) text[at] = '?';
    at += std::max<std::size_t>(length, 1);
  }
  return text;
}

namespace {

// Puts chunks of one task together, from some byte on.
class PartMaker {
 public:
  explicit PartMaker(std::uint64_t from) : from_(from) { part_.from = from; }
  void add(std::uint64_t bytes, std::string_view kept) {
    end_ += bytes;
    if (end_ <= from_) return;
    const std::uint64_t begin = std::max(end_ - kept.size(), from_);
    if (begin > part_.from + part_.text.size() || part_.text.empty()) {
      part_.from = begin;
      part_.text.clear();
    }
    part_.text.append(kept.substr(kept.size() - static_cast<std::size_t>(end_ - begin)));
  }
  core::OutputPart finish(bool more_may_come) {
    std::string_view text = part_.text;
    if (more_may_come) text = whole_characters(text);
    part_.end = part_.from + text.size();
    if (text.size() > core::limits::kLiveText) text.remove_prefix(text.size() - core::limits::kLiveText);
    part_.from = part_.end - text.size();
    part_.text = same_length_text(text);
    return std::move(part_);
  }

 private:
  std::uint64_t from_;
  std::uint64_t end_ = 0;
  core::OutputPart part_;
};

}  // namespace

void OutputCutter::add(int pipe, std::string_view bytes, bool idle) {
  std::string joined;
  if (!unfinished_[pipe].empty()) {
    joined = std::move(unfinished_[pipe]);
    unfinished_[pipe].clear();
    joined.append(bytes);
    bytes = joined;
  }
  while (true) {
    const std::size_t at = find_mark(bytes, mark_);
    if (at == std::string_view::npos) break;
    keep(pipe, bytes.substr(0, at), idle);
    if (bytes.size() - at < kWholeMark) {
      unfinished_[pipe] = bytes.substr(at);
      return;
    }
    std::uint64_t seq;
    std::memcpy(&seq, bytes.data() + at + kMarkBytes, sizeof seq);
    if (bytes[at] == mark_[0]) {
      end_of(pipe, seq);
    } else {
      start_of(pipe);
    }
    bytes.remove_prefix(at + kWholeMark);
  }
  const std::size_t held = possible_mark(bytes, mark_);
  keep(pipe, bytes.substr(0, bytes.size() - held), idle);
  unfinished_[pipe] = bytes.substr(bytes.size() - held);
}

void OutputCutter::keep(int pipe, std::string_view text, bool idle) {
  if (text.empty()) return;
  const std::uint64_t bytes = text.size();
  if (text.size() > kOutputKept) text.remove_prefix(text.size() - kOutputKept);
  kept_bytes_ += text.size();
  Chunk* last = chunks_.empty() ? nullptr : &chunks_.back();
  if (last && last->pipe == pipe && last->seq == 0 && last->leftover == idle && last->text.size() < kOutputKept) {
    last->text.append(text);
    last->bytes += bytes;
  } else {
    chunks_.push_back(Chunk{pipe, 0, idle, bytes, std::string(text)});
  }
  while (kept_bytes_ > kAllKept || chunks_.size() > kChunksKept) drop_oldest();
}

void OutputCutter::drop_oldest() {
  kept_bytes_ -= chunks_.front().text.size();
  const std::uint64_t uncounted = chunks_.front().bytes;
  chunks_.pop_front();
  chunks_.front().bytes += uncounted;  // nearly always of the same task
}

void OutputCutter::end_of(int pipe, std::uint64_t seq) {
  // A mark claims all that came on its pipe before, so before one that is claimed there is none that is not.
  for (auto chunk = chunks_.rbegin(); chunk != chunks_.rend(); ++chunk) {
    if (chunk->pipe != pipe) continue;
    if (chunk->seq != 0) break;
    chunk->seq = seq;
  }
  if (chunks_.size() < 2) return;
  Chunk& last = chunks_.back();
  Chunk& before = chunks_[chunks_.size() - 2];
  const bool same = last.seq == seq && before.seq == seq && before.pipe == last.pipe;
  if (!same || before.leftover != last.leftover || before.text.size() >= kOutputKept) return;
  before.text.append(last.text);
  before.bytes += last.bytes;
  chunks_.pop_back();
}

// What came on this pipe between the end of the former task and the start of this one is nobody's: this task's, mixed.
void OutputCutter::start_of(int pipe) {
  for (Chunk& chunk : chunks_) {
    if (chunk.pipe == pipe && chunk.seq == 0) chunk.leftover = true;
  }
}

OutputCutter::Taken OutputCutter::take(std::uint64_t seq, bool last, bool side_by_side, const std::uint64_t* read) {
  Taken taken;
  PartMaker part(read ? *read : 0);
  if (chunks_.empty() && (!last || (unfinished_[0].empty() && unfinished_[1].empty()))) return taken;
  if (last) {
    // What looked like the beginning of a mark is none: the marks of this task have come whole.
    for (int pipe = 0; pipe < 2; ++pipe) {
      keep(pipe, std::exchange(unfinished_[pipe], {}), false);
    }
  }
  std::string text;
  std::deque<Chunk> others;
  for (Chunk& chunk : chunks_) {
    const bool claimed = chunk.seq == seq || (chunk.seq != 0 && (side_by_side ? last : chunk.seq < seq));
    const bool free = chunk.seq == 0 && last;
    if (!claimed && !free) {
      others.push_back(std::move(chunk));
      continue;
    }
    kept_bytes_ -= chunk.text.size();
    taken.unmarked |= free;
    taken.mixed |= chunk.leftover || (claimed && chunk.seq != seq);
    taken.bytes += chunk.bytes;
    text.append(chunk.text);
    if (read) part.add(chunk.bytes, chunk.text);
  }
  chunks_ = std::move(others);
  taken.text = printable_tail(text, kOutputKept);
  if (read) taken.unread = part.finish(false);
  return taken;
}

std::uint64_t OutputCutter::pending_bytes() const {
  std::uint64_t bytes = 0;
  for (const Chunk& chunk : chunks_) bytes += chunk.bytes;
  return bytes;
}

OutputCutter::Taken OutputCutter::take_rest(const std::uint64_t* read) {
  return take(~std::uint64_t{0}, true, false, read);
}

core::OutputPart OutputCutter::read(std::uint64_t seq, std::uint64_t from, bool side_by_side) const {
  PartMaker part(from);
  for (const Chunk& chunk : chunks_) {
    const bool its = side_by_side ? chunk.seq == seq : chunk.seq <= seq;  // 0: no mark has come yet, and it alone runs
    if (its) part.add(chunk.bytes, chunk.text);
  }
  return part.finish(true);
}

}  // namespace treadle::worker
