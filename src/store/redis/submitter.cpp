#include "store/redis/submitter.h"

#include <algorithm>
#include <utility>

#include "base/base64.h"

namespace treadle::store::redis {
namespace {

constexpr std::uint64_t kScriptBytes = 1 << 20;  // of one script call: Redis serves nobody else while it runs
constexpr std::uint64_t kItemOverhead = 300;     // of a submission, beyond its arguments

std::uint64_t weight_of(const Submission& task) {
  return kItemOverhead + (is_big(task.args) ? 0 : task.args.bytes.size() * 4 / 3);
}

void add_item(Args& out, const Submission& task, const std::string& tasks, const std::string& bytes) {
  out.push_back(to_string(task.id));
  out.push_back(to_string(task.function));
  out.push_back(std::to_string(task.args.bytes.size()));
  out.push_back(tasks);
  out.push_back(bytes);
  const core::Scheduling scheduling = core::scheduling_of(task.options.more);
  out.push_back(core::line_name(task.options.queue, scheduling.labels));
  out.push_back(std::to_string(task.options.priority));
  out.push_back(std::to_string(std::max<std::int64_t>(task.delay_ms, 0)));
  out.push_back(std::to_string(wait_limit_ms(task)));
  out.push_back(has_own_wait(task) ? "1" : "0");
  const bool keyed = !task.idempotency_key.empty();
  out.push_back(keyed ? to_string(sha256(task.idempotency_scope + '\0' + task.idempotency_key)) : "");
  out.push_back(keyed ? to_string(task.body_digest) : "");
  out.push_back(is_big(task.args) ? "1" : "0");
  const std::size_t count_at = out.size();
  out.emplace_back();
  if (!is_big(task.args)) add_field(out, "function_args", base64_encode_lines(task.args.bytes.view()));
  add_field(out, "args_facts", std::to_string(task.args.facts.pack()));
  add_options(out, task.options);
  if (!scheduling.limit_key.empty()) {
    add_field(out, "limit_key", scheduling.limit_key);
    add_number(out, "limit", scheduling.limit);
  }
  add_number(out, "keep_ms", scheduling.keep_ms);
  if (!task.group.empty()) add_field(out, "group", task.group);
  if (!task.owner.empty()) add_field(out, "owner", task.owner);
  out[count_at] = std::to_string(out.size() - count_at - 1);
}

}  // namespace

Submitter::Submitter(Caller& caller, Uploader& uploader, std::uint64_t max_queued, std::uint64_t max_queued_bytes,
                     Hooks hooks)
    : caller_(caller),
      uploader_(uploader),
      max_queued_(max_queued),
      max_queued_bytes_(max_queued_bytes),
      hooks_(std::move(hooks)) {}

void Submitter::add(std::vector<Submission> batch, Answer done) {
  if (batch.empty()) return done(std::vector<Result<SubmitAnswer>>{});
  auto call = std::make_shared<Call>();
  call->batch = std::move(batch);
  call->done = std::move(done);
  for (const Submission& task : call->batch) {
    call->bytes += task.args.bytes.size();
    call->answers.push_back(SubmitAnswer{task.id, false});
  }
  bring_big(call);
}

void Submitter::bring_big(const std::shared_ptr<Call>& call) {
  std::vector<Uploader::Item> items;
  for (const Submission& task : call->batch) {
    if (is_big(task.args)) items.push_back({to_string(task.id), "task_status", "function_args", task.args});
  }
  uploader_.into_hashes(std::move(items), [this, call](Result<void> brought) {
    if (!brought) return call->done(std::move(brought.error()));
    line_up(call);
  });
}

// The first piece asks for room for the whole call; the others wait until it is let in.
void Submitter::line_up(const std::shared_ptr<Call>& call) {
  do {
    Unit unit{call, call->sent, call->sent, 0};
    while (unit.to < call->batch.size() && unit.to - unit.from < core::limits::kBatch) {
      const std::uint64_t weight = weight_of(call->batch[unit.to]);
      if (unit.weight > 0 && unit.weight + weight > kScriptBytes) break;
      unit.weight += weight;
      ++unit.to;
    }
    call->sent = unit.to;
    const bool first = unit.from == 0;
    waiting_.push_back(std::move(unit));
    if (first) return;
  } while (call->sent < call->batch.size());
}

void Submitter::flush() {
  std::shared_ptr<Job> job;
  std::uint64_t weight = 0;
  std::size_t items = 0;
  for (Unit& unit : std::exchange(waiting_, {})) {
    const std::size_t n = unit.to - unit.from;
    if (job && (items + n > core::limits::kBatch || weight + unit.weight > kScriptBytes)) {
      send(std::move(job));
      job = nullptr;
    }
    if (!job) {
      job = std::make_shared<Job>();
      items = weight = 0;
    }
    items += n;
    weight += unit.weight;
    job->units.push_back(std::move(unit));
  }
  if (job) send(std::move(job));
}

void Submitter::send(std::shared_ptr<Job> job) {
  caller_.run_kept(
      Script::Submit, [this, job] { return args_of(*job); },
      [this, job](Result<Reply> reply) {
        if (reply) return read(*job, *reply);
        for (const Unit& unit : job->units) {
          unit.call->answered = 0;  // nothing more of it is waited for
          if (auto done = std::move(unit.call->done)) done(Error(reply.error()));
        }
      });
}

Args Submitter::args_of(const Job& job) const {
  Args args{std::to_string(max_queued_), std::to_string(max_queued_bytes_)};
  for (const Unit& unit : job.units) {
    for (std::size_t i = unit.from; i < unit.to; ++i) {
      // Another piece of the same call, or the next call, ends what a refusal holds for.
      const bool asks = i == 0;
      const bool goes_on = i == unit.from && !asks;
      add_item(args, unit.call->batch[i],
               asks      ? std::to_string(unit.call->batch.size())
               : goes_on ? "0"
                         : "",
               asks      ? std::to_string(unit.call->bytes)
               : goes_on ? "0"
                         : "");
    }
  }
  return args;
}

void Submitter::read(const Job& job, const Reply& reply) {
  std::size_t next = 0;
  static const Reply kNone;
  const Reply& counts = reply.items.empty() ? kNone : reply.items.back();
  std::vector<std::string> refusals;
  for (const Unit& unit : job.units) {
    refusals.emplace_back();
    for (std::size_t i = unit.from; i < unit.to; ++i, ++next) {
      const std::string& word = next < reply.items.size() ? reply.items[next].text : kNone.text;
      if (word.starts_with("FULL")) {
        refusals.back() = word;
      } else {
        read_one(*unit.call, i, word);
      }
    }
  }
  hooks_.counted(counts);
  for (std::size_t i = 0; i < job.units.size(); ++i) unit_answered(job.units[i], refusals[i], counts);
}

void Submitter::read_one(Call& call, std::size_t at, const std::string& word) {
  Result<SubmitAnswer>& answer = call.answers[at];
  const Submission& task = call.batch[at];
  if (word == "OK") return;
  if (word == "SAME") {
    // Said again since its answer was lost: what counts is that it is there.
    answer->duplicate = !caller_.was_repeated();
  } else if (word.starts_with("DUP")) {
    answer = SubmitAnswer{TaskId::parse(word.substr(3)).value_or(task.id), true};
  } else if (word.starts_with("CLASH")) {
    answer = fail(Code::Conflict, "This Idempotency-Key was used for another call, task " + word.substr(5) +
                                      ". Use a new key for a new call.");
  } else if (word == "NOFN") {
    hooks_.unknown(task.function);
    answer = fail(Code::NotFound, "There is no function " + to_string(task.function) + ". Register it first.");
  } else {
    answer = fail(Code::StoreError, "The arguments of task " + to_string(task.id) +
                                        " have gone from Redis again before the task was entered. Submit it again.");
  }
}

void Submitter::unit_answered(const Unit& unit, const std::string& refusal, const Reply& counts) {
  Call& call = *unit.call;
  if (!call.done) return;
  if (!refusal.empty()) return std::exchange(call.done, {})(refused(refusal, counts));
  call.answered += unit.to - unit.from;
  if (call.answered == call.batch.size()) return std::exchange(call.done, {})(std::move(call.answers));
  if (call.sent < call.batch.size()) line_up(unit.call);
}

Error Submitter::refused(const std::string& word, const Reply& counts) const {
  const auto count = [&](std::size_t i) {
    return i < counts.items.size() ? std::to_string(number_of(counts.items[i])) : std::string("?");
  };
  if (word == "FULLTASKS") {
    return fail(Code::Full, "The queue holds " + count(0) + " waiting tasks and its limit is " +
                                std::to_string(max_queued_) + ". Submit again when some have run.");
  }
  return fail(Code::Full, "The arguments of waiting tasks take " + count(1) + " bytes and the limit is " +
                              std::to_string(max_queued_bytes_) + ". Submit again when some have run.");
}

}  // namespace treadle::store::redis
