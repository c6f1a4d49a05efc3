// Groups and queues whose tasks are spread over all partitions.
#include <algorithm>
#include <map>

#include "store/redis/gather.h"
#include "store/redis/partitioned.h"

namespace treadle::store::redis {
namespace {

constexpr std::uint32_t kLeastEnds = 8;  // that one partition is asked for, however many there are

// A cursor has that of each partition, "" where nothing was read yet: "12.7..3".
Result<std::vector<std::string>> parts_of(const std::string& cursor, unsigned count) {
  std::vector<std::string> parts(count);
  if (cursor.empty()) return parts;
  std::size_t begin = 0;
  for (unsigned p = 0; p < count; ++p) {
    const std::size_t end = cursor.find('.', begin);
    const bool last = end == std::string::npos;
    if (last != (p + 1 == count)) {
      return fail(Code::Invalid, "cursor is not one of a group in " + std::to_string(count) +
                                     " partitions; leave it out to begin with the first end.");
    }
    parts[p] = cursor.substr(begin, last ? end : end - begin);
    begin = end + 1;
  }
  return parts;
}

std::string joined(const std::vector<std::string>& parts) {
  std::string text;
  for (std::size_t p = 0; p < parts.size(); ++p) text += (p == 0 ? "" : ".") + parts[p];
  return text;
}

// In the order in which they ended, as far as clocks tell; what one partition gives stays in its order, since its part
// of the cursor goes on from there.
GroupPage merge(std::vector<Result<GroupPage>>& pages, std::vector<std::string> parts) {
  GroupPage merged;
  std::vector<std::size_t> next(pages.size(), 0);
  for (const auto& page : pages) {
    merged.known |= page->known;
    merged.open |= page->open;
    merged.more |= page->more;
  }
  for (;;) {
    std::size_t first = pages.size();
    for (std::size_t p = 0; p < pages.size(); ++p) {
      if (next[p] == pages[p]->ends.size()) continue;
      if (first == pages.size() || pages[p]->ends[next[p]].finished < pages[first]->ends[next[first]].finished)
        first = p;
    }
    if (first == pages.size()) break;
    GroupEnd& end = pages[first]->ends[next[first]++];
    parts[first] = end.cursor;
    end.cursor = joined(parts);
    merged.ends.push_back(std::move(end));
  }
  for (std::size_t p = 0; p < pages.size(); ++p) parts[p] = pages[p]->cursor;
  merged.cursor = joined(parts);
  return merged;
}

}  // namespace

void Partitioned::group_ends(GroupFilter filter, Done<Result<GroupPage>> done) {
  auto parts = parts_of(filter.cursor, count());
  if (!parts) return done(parts.error());
  filter.limit = std::max(filter.limit / count(), kLeastEnds);
  filter.max_bytes = std::max<std::uint64_t>(filter.max_bytes / count(), 1);
  auto all = gather<Result<GroupPage>>(count(), [parts = *parts, done = std::move(done)](auto& pages) mutable {
    for (auto& page : pages) {
      if (!page) return done(std::move(page.error()));
    }
    done(merge(pages, std::move(parts)));
  });
  for (unsigned p = 0; p < count(); ++p) {
    filter.cursor = (*parts)[p];
    engines_[p]->group_ends(filter, all->slot(p));
  }
}

void Partitioned::submission(TaskId id, Done<Result<Submission>> done) {
  engine_of(id).submission(id, std::move(done));
}

void Partitioned::on_end(Callback<void()> hint) {
  const bool wanted = static_cast<bool>(hint);
  end_hint_ = std::move(hint);
  for (const auto& engine : engines_) {
    if (wanted) {
      engine->on_end([this] {
        if (end_hint_) end_hint_();
      });
    } else {
      engine->on_end({});
    }
  }
}

// ---- queues ----

void Partitioned::queues(Done<Result<std::vector<QueueReport>>> done) {
  using Reports = std::vector<QueueReport>;
  auto all = gather<Result<Reports>>(count(), [done = std::move(done)](std::vector<Result<Reports>>& parts) mutable {
    std::map<std::string, QueueReport> queues;
    for (auto& part : parts) {
      if (!part) return done(std::move(part.error()));
      for (const QueueReport& one : *part) {
        QueueReport& queue = queues[one.name];
        queue.name = one.name;
        queue.queued += one.queued;
        queue.running += one.running;
        queue.paused |= one.paused;
        if (one.oldest.ms != 0 && (queue.oldest.ms == 0 || one.oldest.ms < queue.oldest.ms)) queue.oldest = one.oldest;
      }
    }
    Reports reports;
    for (auto& [name, queue] : queues) reports.push_back(std::move(queue));
    done(std::move(reports));
  });
  for (unsigned p = 0; p < count(); ++p) engines_[p]->queues(all->slot(p));
}

void Partitioned::pause_queue(std::string queue, bool paused, Done<Result<void>> done) {
  auto all = gather<Result<void>>(count(), [done = std::move(done)](auto& answers) mutable {
    for (auto& answer : answers) {
      if (!answer) return done(std::move(answer));
    }
    done({});
  });
  for (unsigned p = 0; p < count(); ++p) engines_[p]->pause_queue(queue, paused, all->slot(p));
}

}  // namespace treadle::store::redis
