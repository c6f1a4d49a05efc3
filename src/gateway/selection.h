// Which tasks tasks:cancel and tasks:retry act on: filters of a list in a request, and the walk over what they match.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/callback.h"
#include "base/result.h"
#include "gateway/fields.h"
#include "gateway/response.h"
#include "store/store.h"

namespace treadle::gateway {

struct Service;

struct Selection {
  store::ListFilter filter;
  bool dry_run = false;
  std::size_t limit = 0;  // tasks at most
};

// The members of the request but "status", which each route has its own words for; whether it was named.
Selection read_selection(FieldReader& fields, bool status_named);

// From page to page, until all are seen, `limit` have matched, or nobody is there to be answered any more.
class Walk : public std::enable_shared_from_this<Walk> {
 public:
  // Does what is to be done with some tasks, and calls `next` when it is done.
  using Act = Callback<void(std::vector<store::TaskView>, Callback<void()> next)>;

  Walk(std::shared_ptr<Service> service, Selection selection, Responder out)
      : out(std::move(out)), service_(std::move(service)), selection_(std::move(selection)) {}
  // `end` answers; it is not called when the list cannot be read, which is answered here.
  void begin(Act act, Callback<void()> end);

  Responder out;
  std::size_t matched = 0;
  std::string next_cursor;  // "": all were seen
  bool dry_run() const { return selection_.dry_run; }

 private:
  void step();
  void finish();
  void take(store::TaskPage page);

  std::shared_ptr<Service> service_;
  Selection selection_;
  std::uint32_t pages_ = 0;
  Act act_;
  Callback<void()> end_;
};

}  // namespace treadle::gateway
