// BLOB_REQUEST and BLOB as structs and as frames.
#pragma once

#include <cstdint>
#include <span>

#include "base/ids.h"
#include "base/result.h"
#include "transport/frames.h"

namespace treadle::transport {

// Who speaks, if it is a worker; a dispatcher leaves it empty.
struct BlobSender {
  WorkerId worker;
  std::uint64_t boot = 0;
  friend bool operator==(const BlobSender&, const BlobSender&) = default;
};

struct BlobRequest {
  Digest blob;
  std::uint64_t offset = 0;
  BlobSender from;
  friend bool operator==(const BlobRequest&, const BlobRequest&) = default;
};

struct BlobPart {
  Digest blob;
  std::uint64_t offset = 0;
  std::uint64_t size = 0;  // of the whole blob
  Buffer bytes;
  bool gone = false;  // its sender does not have it (any more)
  BlobSender from;
};

Frames encode(const BlobRequest& request);
Frames encode(const BlobPart& part);
// Errors as in codec.h.
Result<BlobRequest> decode_blob_request(std::span<const Buffer> frames);
Result<BlobPart> decode_blob(std::span<const Buffer> frames);

}  // namespace treadle::transport
