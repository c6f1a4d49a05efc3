// The answers that tell the ends of a group's tasks as they come (GET /v1/groups/{group}/results). Each holds one page
// at most, and asks for the next when the client has taken it.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "gateway/response.h"
#include "store/store.h"

namespace treadle::gateway {

struct Service;

// Belongs to its answer, and before that to the reading of its first page.
struct GroupStream final : BodyStream {
  std::string group, cursor;
  bool follow = false;   // goes on when all have ended
  bool events = false;   // text/event-stream, else NDJSON
  bool resumed = false;  // the client had a part of it
  Responder out;         // until the first page

  // Inside:
  std::weak_ptr<ResponseSink> client;
  std::string text;   // not taken yet
  bool over = false;  // the last of it is in `text`
  bool reading = false;
  bool heard = true;  // something may have ended since the last page
  bool more = false;  // the last page said so
  Instant read_at, put_at;
  Duration gap{0};  // least time between two pages

  bool read(std::string& out, std::size_t most) override;
  void put(std::string_view some);
  bool gone() const;
};

// Loop thread only.
class GroupStreams {
 public:
  explicit GroupStreams(Service& service) : service_(service) {}

  using Ref = std::shared_ptr<GroupStream>;
  // Answers Full over limits::kMaxStreams.
  void begin(const Ref& stream);
  // Reads what is due. Whether it asked the store.
  bool turn(Instant now);
  Instant next_due() const;
  void release_all();  // the service stops
  void abandon();      // nobody is there to be answered

 private:
  Instant due(const GroupStream& stream) const;
  void read(const Ref& stream);
  void take(const Ref& stream, Result<store::GroupPage> page);
  bool open(const Ref& stream, const store::GroupPage& page);
  void finish(const Ref& stream, std::string_view how, std::string_view detail);
  void forget_ended();

  Service& service_;
  std::vector<std::weak_ptr<GroupStream>> all_;
  bool listening_ = false;  // the store tells us of ends
};

}  // namespace treadle::gateway
