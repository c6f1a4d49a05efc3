#include "transport/header_writer.h"

#include <utility>

#include "base/sha256.h"

namespace treadle::transport {
namespace {

namespace limits = core::limits;

constexpr std::size_t kFirstOwnFrame = 3;
constexpr std::size_t kHeaderGuess = 320;
constexpr std::size_t kItemGuess = 104;
// A reference in the header is nearly as long: nothing would be gained.
constexpr std::size_t kNeverOut = 96;

}  // namespace

bool Packer::stays_out(std::size_t size) const {
  if (!offers_) return false;
  return size > limits::kInline || (size > kNeverOut && inline_ + size > limits::kMaxInlineBatch);
}

void Packer::refer(std::string& header, Buffer bytes, const Digest* known) {
  const Digest digest = known ? *known : sha256(bytes.view());
  header += '[';
  append_quoted(header, digest);
  header += ',';
  append_number(header, bytes.size());
  header += ']';
  offers_->push_back({digest, std::move(bytes)});
}

void Packer::place(std::string& header, const Buffer& bytes, const Digest* known) {
  if (stays_out(bytes.size())) return refer(header, bytes, known);
  inline_ += bytes.size();
  if (bytes.size() <= limits::kPacked) {
    pack_ += bytes.view();
    append_number(header, bytes.size());
    return;
  }
  header += '[';
  append_number(header, kFirstOwnFrame + own_.size());
  header += ']';
  own_.push_back(bytes);
}

void Packer::place(std::string& header, const std::string& text) {
  if (stays_out(text.size())) return refer(header, Buffer::of(text), nullptr);
  inline_ += text.size();
  pack_ += text;
  append_number(header, text.size());
}

void Packer::add_to(Frames& frames) {
  if (pack_.empty() && own_.empty()) return;
  frames.push_back(Buffer::of(std::move(pack_)));
  for (Buffer& bytes : own_) frames.push_back(std::move(bytes));
}

HeaderWriter::HeaderWriter(std::size_t items) {
  out_.reserve(kHeaderGuess + items * kItemGuess);
  out_ += "{\"protocol\":";
  append_number(out_, kProtocol);
}

}  // namespace treadle::transport
