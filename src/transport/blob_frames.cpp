#include "transport/blob_frames.h"

#include "core/limits.h"
#include "transport/header_reader.h"
#include "transport/header_writer.h"

namespace treadle::transport {
namespace {

constexpr std::size_t kBytesFrame = 2;

void write_start(HeaderWriter& header, const BlobSender& from, const Digest& blob, std::uint64_t offset) {
  if (from != BlobSender{}) {
    append_quoted(header.member("worker"), from.worker);
    append_quoted(header.member("boot"), from.boot);
  }
  append_quoted(header.member("blob"), blob);
  append_number(header.member("offset"), offset);
}

BlobSender read_sender(HeaderReader& in) { return {WorkerId(in.uuid("worker")), in.hex("boot")}; }

}  // namespace

Frames encode(const BlobRequest& request) {
  HeaderWriter header;
  write_start(header, request.from, request.blob, request.offset);
  return {Buffer::from(nullptr, type::kBlobRequest), header.finish()};
}

Frames encode(const BlobPart& part) {
  HeaderWriter header;
  write_start(header, part.from, part.blob, part.offset);
  header.number("size", part.size);
  header.flag("gone", part.gone);
  Frames frames = {Buffer::from(nullptr, type::kBlob), header.finish()};
  if (!part.gone) frames.push_back(part.bytes);
  return frames;
}

Result<BlobRequest> decode_blob_request(std::span<const Buffer> frames) {
  HeaderReader in(frames);
  if (in.failed()) return in.error();
  BlobRequest request{in.digest("blob"), in.number("offset"), read_sender(in)};
  if (in.failed()) return in.error();
  return request;
}

Result<BlobPart> decode_blob(std::span<const Buffer> frames) {
  HeaderReader in(frames);
  if (in.failed()) return in.error();
  BlobPart part;
  part.blob = in.digest("blob");
  part.offset = in.number("offset");
  part.size = in.number("size");
  part.gone = in.flag("gone");
  part.from = read_sender(in);
  if (!part.gone && in.frames() <= kBytesFrame) in.complain("frame 2 (the bytes) is missing, and 'gone' is not true");
  if (in.failed()) return in.error();
  if (!part.gone) part.bytes = in.frame(kBytesFrame);
  return part;
}

}  // namespace treadle::transport
