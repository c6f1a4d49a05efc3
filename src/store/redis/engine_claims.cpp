// What dispatchers ask of the engine about attempts: claims, starts, outcomes, attempts that go back.
#include <algorithm>
#include <utility>

#include "base/base64.h"
#include "store/redis/engine.h"

namespace treadle::store::redis {
namespace {

constexpr std::uint64_t kScriptBytes = 1 << 20;  // of one script call
constexpr std::size_t kAttemptWords = 17;        // of an attempt in the answer of claim.lua

std::string_view name_of(core::GiveBack why) {
  switch (why) {
    case core::GiveBack::Unstarted: return "unstarted";
    case core::GiveBack::WorkerLost: return "lost";
    case core::GiveBack::Killed: return "killed";
    case core::GiveBack::Suspect: return "suspect";
    case core::GiveBack::Retry: return "retry";
  }
  return "";
}

FinishAnswer finish_answer(std::string_view word) {
  if (word == "applied") return FinishAnswer::Applied;
  if (word == "duplicate") return FinishAnswer::Duplicate;
  return word == "stale" ? FinishAnswer::Stale : FinishAnswer::Missing;
}

RequeueAnswer requeue_answer(std::string_view word) {
  if (word == "queued") return RequeueAnswer::Queued;
  if (word == "failed") return RequeueAnswer::Failed;
  if (word == "cancelled") return RequeueAnswer::Cancelled;
  return word == "stale" ? RequeueAnswer::Stale : RequeueAnswer::Missing;
}

std::string words_of(const std::vector<std::string>& labels) {
  std::string words;
  for (const std::string& label : labels) words += (words.empty() ? '|' : ' ') + label;
  return words;
}

}  // namespace

// ---- claims ----

struct Engine::ClaimCall {
  SessionId session;
  ClaimAnswer answer;
  std::vector<bool> whole;  // of the attempts: it may be given
  std::size_t waiting = 1;  // reads that have not answered
  std::optional<Error> error;
  Done<Result<ClaimAnswer>> done;
};

void Engine::claim(ClaimRequest request, Done<Result<ClaimAnswer>> done) {
  if (auto error = closed()) return done(std::move(*error));
  Args args{to_string(request.session), std::to_string(request.call), request.worker};
  const std::size_t n = std::min(request.tokens.size(), core::limits::kBatch);
  args.push_back(std::to_string(n));
  for (std::size_t i = 0; i < n; ++i) args.push_back(text_of(request.tokens[i]));
  if (!request.labels.empty()) args.push_back(words_of(request.labels));
  for (std::string& queue : request.queues) args.push_back(std::move(queue));
  auto call = std::make_shared<ClaimCall>();
  call->session = request.session;
  call->done = std::move(done);
  work_heard_ = false;
  caller_.run(Script::Claim, std::move(args), [this, call](Result<Reply> reply) {
    if (!reply) return call->done(std::move(reply.error()));
    read_claim(call, *reply);
  });
}

void Engine::read_claim(std::shared_ptr<ClaimCall> call, const Reply& reply) {
  if (reply.items.size() < 6) {
    call->answer.no_session = true;
    return call->done(std::move(call->answer));
  }
  call->answer.more = reply.items[1].text == "1";
  hungry_ = hungry_ || !call->answer.more;  // it may have been another kind of workers that found nothing
  const std::int64_t due = reply.items[2].integer;
  work_due_ = due < 0 ? Instant::never() : clock_.now() + std::chrono::milliseconds(due + 1);
  take_ended(reply.items[3]);
  count(reply.items[5]);
  const auto& items = reply.items[4].items;
  call->answer.attempts.resize(items.size());
  call->whole.assign(items.size(), true);
  for (std::size_t i = 0; i < items.size(); ++i) read_attempt(call, i, items[i]);
  claim_part_done(call);
}

// id, token, number, arguments, function, body_sha256, args_facts, delivery, isolation, suspect, retries, retries_used,
// retry_delay_ms, time_limit_ms, memory_limit, more, ms until it may begin no more
void Engine::read_attempt(const std::shared_ptr<ClaimCall>& call, std::size_t at, const Reply& item) {
  const auto& words = item.items;
  const auto id = words.size() == kAttemptWords ? TaskId::parse(words[0].text) : std::nullopt;
  if (!id) {  // an id that is no UUID was put into the queue by hand
    call->whole[at] = false;
    return;
  }
  core::Attempt& a = call->answer.attempts[at];
  a.task = *id;
  a.token = token_of(words[1].text);
  a.number = static_cast<std::uint32_t>(number_of(words[2]));
  if (const auto function = FunctionId::parse(words[4].text)) a.function = *function;
  if (words[7].text == "at_most_once") a.delivery = core::Delivery::AtMostOnce;
  if (words[8].text == "fresh") a.isolation = core::Isolation::Fresh;
  a.suspect = words[9].text == "1";
  const std::uint64_t retries = number_of(words[10]), used = number_of(words[11]);
  a.retries_left = static_cast<std::uint16_t>(retries > used ? retries - used : 0);
  const core::Scheduling scheduling = core::scheduling_of(words[15].text);
  a.retry_delay =
      core::retry_wait(std::chrono::milliseconds(number_of(words[12])), scheduling, static_cast<std::uint32_t>(used));
  a.retry_on = scheduling.retry_on;
  const Duration within = std::chrono::milliseconds(number_of(words[16]));
  if (within < core::limits::kWatchedWait) a.start_within = within;
  a.time_limit = std::chrono::milliseconds(number_of(words[13]));
  a.memory_limit = number_of(words[14]);
  a.allowance = core::allowance_of(words[15].text);
  a.surroundings = core::surroundings_of(words[15].text);
  const bool foreign = words[6].type == Reply::Type::Nil;
  if (words[3].type != Reply::Type::Nil) {
    give_args(call, at, payload_of(words[3].text, foreign ? nullptr : &words[6]));
  } else {
    ++call->waiting;
    bulk_.read_field(words[0].text, "function_args", [this, call, at, foreign, facts = words[6]](Result<Reply> reply) {
      if (!reply) {
        call->error = std::move(reply.error());
      } else if (reply->type == Reply::Type::Nil) {
        give_args(call, at, fail(Code::NotFound, "Its arguments are missing from Redis."));
      } else {
        give_args(call, at, payload_of(reply->text, foreign ? nullptr : &facts));
      }
      claim_part_done(call);
    });
  }
  if (const auto digest = digest_of(words[5].text)) {
    a.body_digest = *digest;
    // One that has a body still: it is reclaimed only when no task needs it.
    if (const FunctionId* owner = body_owners_.find(*digest); !owner || *owner != a.function)
      body_owners_.put(*digest, a.function, 512);
    return;
  }
  ++call->waiting;
  find_function(a.function, [this, call, at](Result<core::Function> function) {
    // Not there: whoever asks for the body of no digest is told so, and the task fails by that.
    if (function) call->answer.attempts[at].body_digest = function->digest;
    if (!function && function.error().code == Code::StoreAway) call->error = std::move(function.error());
    claim_part_done(call);
  });
}

void Engine::give_args(const std::shared_ptr<ClaimCall>& call, std::size_t at, Result<core::Payload> args) {
  core::Attempt& a = call->answer.attempts[at];
  if (args) {
    a.args = std::move(*args);
    return;
  }
  call->whole[at] = false;
  fail_attempt(call->session, {a.task, a.token}, args.error().message);
}

// On an error of a read nothing is given; the call is made again with its number and finds the same attempts.
void Engine::claim_part_done(const std::shared_ptr<ClaimCall>& call) {
  if (--call->waiting > 0) return;
  if (call->error) return call->done(std::move(*call->error));
  auto& attempts = call->answer.attempts;
  std::size_t kept = 0;
  for (std::size_t i = 0; i < attempts.size(); ++i) {
    if (!call->whole[i]) continue;
    if (kept != i) attempts[kept] = std::move(attempts[i]);
    ++kept;
  }
  attempts.resize(kept);
  const auto once = [](const core::Attempt& a) { return a.delivery == core::Delivery::AtMostOnce; };
  if (std::none_of(attempts.begin(), attempts.end(), once)) return call->done(std::move(call->answer));
  caller_.confirm([call](Result<void> kept) {  // its claim must not be forgotten: it would be started again
    if (!kept) return call->done(fail(Code::StoreAway, std::move(kept.error().message)));
    call->done(std::move(call->answer));
  });
}

// It cannot be given: what it should run with cannot be read.
void Engine::fail_attempt(SessionId session, core::Held attempt, const std::string& why) {
  FinishItem item{attempt.task, attempt.token, {}};
  item.outcome.kind = core::ErrorKind::DeserializeFailed;
  item.outcome.error_type = core::name_of(item.outcome.kind);
  item.outcome.error_message = why;
  item.outcome.result = config_.failure(item.outcome.kind, attempt.task, "", why);
  std::vector<FinishItem> one;
  one.push_back(std::move(item));
  finish(session, std::move(one), [](Result<std::vector<FinishAnswer>>) {});
}

void Engine::started(std::vector<StartedItem> batch) {
  if (closed_) return;
  for (std::size_t from = 0; from < batch.size(); from += core::limits::kBatch) {
    Args args;
    for (std::size_t i = from; i < std::min(from + core::limits::kBatch, batch.size()); ++i) {
      args.push_back(to_string(batch[i].task));
      args.push_back(text_of(batch[i].token));
      args.push_back(to_string(batch[i].worker));
    }
    caller_.run(Script::Started, std::move(args), [this](Result<Reply> reply) {
      if (reply) count(*reply);
    });
  }
}

// ---- outcomes ----

template <class Answer>
struct Engine::BatchCall {
  std::vector<Answer> answers;
  std::optional<Error> error;
  std::size_t waiting = 1;  // parts that have not answered
  Done<Result<std::vector<Answer>>> done;

  void part_done() {
    if (--waiting > 0) return;
    if (error) return done(std::move(*error));
    done(std::move(answers));
  }
};

struct Engine::FinishCall : BatchCall<FinishAnswer> {
  SessionId session;
  std::vector<FinishItem> batch;
};

void Engine::finish(SessionId session, std::vector<FinishItem> batch, Done<Result<std::vector<FinishAnswer>>> done) {
  if (auto error = closed()) return done(std::move(*error));
  auto call = std::make_shared<FinishCall>();
  call->session = session;
  call->batch = std::move(batch);
  call->answers.resize(call->batch.size());
  call->done = std::move(done);
  std::vector<std::size_t> some;
  std::uint64_t bytes = 0;
  const auto send_some = [&] {
    if (!some.empty()) finish_some(call, std::exchange(some, {}), false);
    bytes = 0;
  };
  for (std::size_t i = 0; i < call->batch.size(); ++i) {
    const core::Payload& result = call->batch[i].outcome.result;
    if (is_big(result)) {  // small outcomes do not wait for it
      ++call->waiting;
      bulk_.into_key(to_string(call->batch[i].task) + ":result:" + text_of(call->batch[i].token), result,
                     [this, call, i](Result<void> brought) {
                       if (!brought)
                         call->error = std::move(brought.error());
                       else
                         finish_some(call, {i}, true);
                       call->part_done();
                     });
      continue;
    }
    const std::uint64_t weight = result.bytes.size() * 4 / 3;
    if (some.size() == core::limits::kBatch || bytes + weight > kScriptBytes) send_some();
    some.push_back(i);
    bytes += weight;
  }
  send_some();
  call->part_done();
}

void Engine::finish_some(const std::shared_ptr<FinishCall>& call, std::vector<std::size_t> items, bool apart) {
  ++call->waiting;
  auto build = [call, items, apart] {
    Args args{to_string(call->session)};
    for (const std::size_t i : items) {
      const FinishItem& item = call->batch[i];
      args.push_back(to_string(item.task));
      args.push_back(text_of(item.token));
      args.emplace_back(core::name_of(item.outcome.kind));
      args.push_back(apart ? "1" : "0");
      const std::size_t count_at = args.size();
      args.emplace_back();
      add_result(args, item.outcome.result, !apart);
      add_error(args, item.outcome);
      add_details(args, item.outcome);
      if (!item.worker.is_nil()) add_field(args, "worker", to_string(item.worker));
      args[count_at] = std::to_string(args.size() - count_at - 1);
    }
    return args;
  };
  caller_.run_kept(Script::Finish, Callback<Args()>(std::move(build)),
                   [this, call, items = std::move(items)](Result<Reply> reply) {
                     if (reply)
                       read_finish(*call, items, *reply);
                     else
                       call->error = std::move(reply.error());
                     call->part_done();
                   });
}

void Engine::read_finish(FinishCall& call, const std::vector<std::size_t>& items, const Reply& reply) {
  for (std::size_t k = 0; k < items.size() && k < reply.items.size(); ++k) {
    const std::string& word = reply.items[k].text;
    FinishAnswer& answer = call.answers[items[k]];
    answer = finish_answer(word);
    if (word == "noblob") {
      call.error = fail(Code::StoreAway, "The result of task " + to_string(call.batch[items[k]].task) +
                                             " has gone from Redis before it was taken over. Report it again.");
    }
    // Said twice since the first answer was lost: the first time was ours.
    if (answer == FinishAnswer::Duplicate && caller_.was_repeated()) answer = FinishAnswer::Applied;
  }
  if (!reply.items.empty()) count(reply.items.back());
}

void Engine::requeue(SessionId session, std::vector<RequeueItem> batch, Done<Result<std::vector<RequeueAnswer>>> done) {
  if (auto error = closed()) return done(std::move(*error));
  auto call = std::make_shared<BatchCall<RequeueAnswer>>();
  call->answers.resize(batch.size());
  call->done = std::move(done);
  for (std::size_t from = 0; from < batch.size(); from += core::limits::kBatch) {
    const std::size_t n = std::min(core::limits::kBatch, batch.size() - from);
    Args args{to_string(session)};
    for (std::size_t i = from; i < from + n; ++i) {
      const RequeueItem& item = batch[i];
      Args whole, rest;
      const core::Outcome& failure = item.failure;
      if (!failure.result.bytes.empty() && !is_big(failure.result)) {
        add_result(whole, failure.result, true);
        add_error(whole, failure);
      }
      add_details(rest, failure);
      const bool named = failure.kind != core::ErrorKind::None;
      for (std::string word : {to_string(item.task), text_of(item.token), std::string(name_of(item.why)),
                               std::to_string(std::max<std::int64_t>(item.delay / 1ms, 0)), item.last_error,
                               std::string(core::name_of(named ? failure.kind : core::ErrorKind::WorkerLost)),
                               failure.error_message, std::to_string(whole.size()), std::to_string(rest.size())}) {
        args.push_back(std::move(word));
      }
      std::move(whole.begin(), whole.end(), std::back_inserter(args));
      std::move(rest.begin(), rest.end(), std::back_inserter(args));
    }
    ++call->waiting;
    caller_.run(Script::Requeue, std::move(args), [this, call, from, n](Result<Reply> reply) {
      if (!reply || reply->items.size() < n + 2) {
        call->error = reply ? fail(Code::StoreError, "Redis gave a short answer to a requeue.") : reply.error();
        return call->part_done();
      }
      for (std::size_t k = 0; k < n; ++k) call->answers[from + k] = requeue_answer(reply->items[k].text);
      take_ended(reply->items[n]);
      count(reply->items[n + 1]);
      call->part_done();
    });
  }
  call->part_done();
}

}  // namespace treadle::store::redis
