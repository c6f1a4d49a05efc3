#include "gateway/selection.h"

#include <algorithm>
#include <utility>

#include "core/limits.h"
#include "gateway/errors.h"
#include "gateway/option_fields.h"
#include "gateway/service.h"

namespace treadle::gateway {
namespace {

namespace limits = core::limits;

constexpr std::size_t kMaxCursor = 64;

}  // namespace

Selection read_selection(FieldReader& fields, bool status_named) {
  Selection selection;
  store::ListFilter& filter = selection.filter;
  if (const auto group = fields.text("group", limits::kMaxGroupName)) filter.group = *group;
  if (const auto id = fields.text("function_id", limits::kMaxFunctionName)) {
    filter.function = FunctionId::parse(*id);
    if (!filter.function) fields.wrong("function_id", "a UUID, as POST /v1/functions answered it");
  }
  if (const auto queue = fields.text("queue", limits::kMaxQueueName)) {
    if (!is_queue_name(*queue)) fields.wrong("queue", "made of letters, digits, '.', '_' and '-'");
    filter.queue = std::string(*queue);
  }
  filter.accepted_from = fields.instant("created_after").value_or(WallMs{});
  filter.accepted_before = fields.instant("created_before").value_or(WallMs{});
  if (const auto cursor = fields.text("cursor", kMaxCursor)) filter.cursor = *cursor;
  filter.any_order = true;
  selection.dry_run = fields.flag("dry_run");
  const auto limit = fields.integer("limit", 1, static_cast<std::int64_t>(limits::kMaxSelected));
  selection.limit = static_cast<std::size_t>(limit.value_or(static_cast<std::int64_t>(limits::kMaxSelected)));
  const bool bounded = !filter.group.empty() || filter.function || filter.queue || filter.accepted_from.ms != 0 ||
                       filter.accepted_before.ms != 0 || status_named;
  const bool all = fields.flag("all");
  if (!bounded && !all) {
    fields.fail_with(fail(Code::Invalid,
                          "Name at least one of status, group, function_id, queue, created_after and created_before; "
                          "or send \"all\": true if every task is meant."));
  }
  return selection;
}

void Walk::begin(Act act, Callback<void()> end) {
  act_ = std::move(act);
  end_ = std::move(end);
  next_cursor = selection_.filter.cursor;
  step();
}

void Walk::step() {
  // A preview only looks, so it goes on to the end of the list, or as far as one request may look.
  const bool enough = !selection_.dry_run && matched >= selection_.limit;
  const bool given_up = out.sink()->gone() || service_->draining;
  if (enough || given_up || pages_ == limits::kMaxSelectedPages) return finish();
  ++pages_;
  store::ListFilter filter = selection_.filter;
  filter.cursor = next_cursor;
  filter.limit = limits::kMaxPage;
  if (!selection_.dry_run)
    filter.limit = static_cast<std::uint32_t>(std::min<std::size_t>(filter.limit, selection_.limit - matched));
  service_->store.list(std::move(filter), [self = shared_from_this()](Result<store::TaskPage> page) {
    if (page) return self->take(std::move(*page));
    self->out.fail(page.error());
    self->end_ = [] {};
    self->finish();
  });
}

// What is called at the end holds us: it is let go.
void Walk::finish() {
  Callback<void()> end = std::move(end_);
  act_ = {};
  end();
}

void Walk::take(store::TaskPage page) {
  matched += page.tasks.size();
  next_cursor = std::move(page.next_cursor);
  auto next = [self = shared_from_this()] { self->next_cursor.empty() ? self->finish() : self->step(); };
  if (selection_.dry_run || page.tasks.empty()) return next();
  act_(std::move(page.tasks), std::move(next));
}

}  // namespace treadle::gateway
