#include "redis_model.h"

#include <algorithm>

namespace treadle::store::contract {

ModelTask* RedisModel::find(const std::string& id) {
  const auto it = tasks.find(id);
  return it == tasks.end() ? nullptr : &it->second;
}

bool RedisModel::is_live(const std::string& session) const {
  const auto it = sessions.find(session);
  return it != sessions.end() && it->second.live;
}

void RedisModel::flush_all() {
  tasks.clear();
  sessions.clear();
  known_sessions.clear();
  lines.clear();
  delayed.clear();
  keys_.clear();
  queued = queued_bytes = held = running = 0;
  seq_ = 0;
  ages_.clear();
}

// ---- waiting ----

void RedisModel::push(const std::string& id, const ModelTask& t, bool to_head) {
  ModelLine& line = lines[t.queue];
  if (t.priority != 0) {
    const std::int64_t score = -std::int64_t{t.priority} * (std::int64_t{1} << 40) + static_cast<std::int64_t>(t.seq);
    auto& ranked = t.priority > 0 ? line.high : line.low;
    std::erase_if(ranked, [&](const auto& one) { return one.second == id; });  // a sorted set names it once
    ranked.emplace(score, id);
  } else if (to_head) {
    constexpr std::size_t kLook = 32;
    std::size_t older = 0;
    while (older < std::min(kLook, line.list.size()) && ages_.at(line.list[older]) <= ages_.at(id)) ++older;
    line.list.insert(line.list.begin() + static_cast<std::ptrdiff_t>(older), id);
  } else {
    line.list.push_back(id);
  }
}

void RedisModel::no_longer_queued(const ModelTask& t) {
  --queued;
  queued_bytes -= t.bytes;
}

std::vector<std::string> RedisModel::submit(const std::vector<NewTask>& batch) {
  if (queued + static_cast<std::int64_t>(batch.size()) > max_queued_) return {"full"};
  std::vector<std::string> answers;
  for (const NewTask& n : batch) {
    if (tasks.contains(n.id)) {
      answers.push_back("dup " + n.id);
      continue;
    }
    if (const auto key = keys_.find(n.key); !n.key.empty() && key != keys_.end() && tasks.contains(key->second.first)) {
      answers.push_back((key->second.second == n.digest ? "dup " : "clash ") + key->second.first);
      continue;
    }
    if (!n.key.empty()) keys_[n.key] = {n.id, n.digest};
    ModelTask t;
    t.queue = n.queue;
    t.priority = n.priority;
    t.once = n.once;
    t.max_attempts = n.max_attempts;
    t.retries = n.retries;
    t.bytes = n.bytes;
    t.more = n.more;
    t.delayed = n.delayed;
    if (t.priority != 0) t.seq = ++seq_;
    ages_[n.id] = ++accepted_;
    if (n.delayed) {
      delayed.insert(n.id);
    } else {
      push(n.id, t, false);
    }
    ++queued;
    queued_bytes += t.bytes;
    tasks[n.id] = t;
    answers.push_back("ok " + n.id);
  }
  return answers;
}

// ---- claims ----

RedisModel::Given RedisModel::given(const std::string& id, const ModelTask& t) {
  const std::uint32_t left = t.retries > t.retries_used ? t.retries - t.retries_used : 0;
  return {id, t.token, t.attempt, left, t.suspect, t.more};
}

void RedisModel::take(const std::string& id, const std::string& session, const std::vector<std::string>& tokens,
                      Claim& out) {
  ModelTask* t = find(id);
  if (!t) ++popped_;
  if (!t || !t->waits() || t->delayed) return;
  ++popped_;
  popped_bytes_ += t->bytes;
  t->token = tokens[out.given.size()];
  t->session = session;
  ++t->attempt;
  sessions[session].held[id] = t->token;
  ++held;
  out.given.push_back(given(id, *t));
}

RedisModel::Claim RedisModel::claim(const std::string& sid, std::uint64_t call, const std::vector<std::string>& tokens,
                                    const std::vector<std::string>& queues) {
  Claim out;
  if (!is_live(sid)) {
    out.no_session = true;
    return out;
  }
  ModelSession& s = sessions[sid];
  if (call <= s.call) {
    if (call < s.call) return out;
    out.more = s.more;
    for (const auto& [id, token] : s.given) {
      const ModelTask* t = find(id);
      if (!t || t->terminal() || t->token != token || t->session != sid) continue;
      out.given.push_back(given(id, *t));
    }
    return out;
  }
  popped_ = popped_bytes_ = 0;
  for (const std::string& queue : queues) {
    ModelLine& line = lines[queue];
    const auto ranked = [&](auto& set) {
      while (out.given.size() < tokens.size() && !set.empty()) {
        const std::string id = set.begin()->second;
        set.erase(set.begin());
        take(id, sid, tokens, out);
      }
    };
    ranked(line.high);
    while (out.given.size() < tokens.size() && !line.list.empty()) {
      const std::string id = line.list.front();
      line.list.pop_front();
      take(id, sid, tokens, out);
    }
    ranked(line.low);
    out.more = out.more || !line.list.empty() || !line.high.empty() || !line.low.empty();
  }
  s.call = call;
  s.more = out.more;
  s.given.clear();
  for (const Given& g : out.given) s.given.emplace_back(g.id, g.token);
  if (popped_ > 0) {
    queued -= popped_;
    queued_bytes -= popped_bytes_;
    const bool none = queued <= 0;
    queued = std::max<std::int64_t>(queued, 0);
    if (none || queued_bytes < 0) queued_bytes = 0;
  }
  return out;
}

void RedisModel::started(const std::string& id, const std::string& token) {
  ModelTask* t = find(id);
  if (!t || t->status != "QUEUED" || t->token.empty() || t->token != token) return;
  t->status = "RUNNING";
  ++running;
}

// ---- endings ----

std::uint32_t RedisModel::drop_held(const std::string& session, const std::string& id) {
  const auto it = sessions.find(session);
  return it == sessions.end() ? 0 : static_cast<std::uint32_t>(it->second.held.erase(id));
}

void RedisModel::let_go(const std::string& id, const ModelTask& t) {
  if (t.session.empty()) return;
  held -= drop_held(t.session, id);
  if (const auto it = sessions.find(t.session); t.cancel && it != sessions.end()) {
    std::erase(it->second.revokes, id + " " + t.token);
  }
  if (t.status == "RUNNING") --running;
}

void RedisModel::end(ModelTask& t, const std::string& kind, const std::string& token) {
  t.status = kind.empty() ? "COMPLETED" : "FAILED";
  t.error_kind = kind;
  t.token = token;
}

std::string RedisModel::finish(const std::string& session, const std::string& id, const std::string& token,
                               bool completed) {
  ModelTask* t = find(id);
  if (!t) {
    held -= drop_held(session, id);
    return "missing";
  }
  if (t->token != token) return "stale";
  if (t->terminal()) return "duplicate";
  let_go(id, *t);
  end(*t, completed ? "" : "FunctionFailed", token);
  return "applied";
}

std::string RedisModel::give_back(const std::string& id, ModelTask& t, const std::string& why,
                                  const std::string& last_error, bool with_delay) {
  let_go(id, t);
  if (t.cancel) {
    end(t, "Cancelled", "");
    return "cancelled";
  }
  const std::uint32_t limit = t.max_attempts > 0 ? t.max_attempts : kMaxLosses;
  std::string kind;
  if (why == "lost" || why == "killed") ++t.losses;
  if (why == "lost" && (t.once || t.losses >= limit)) kind = "WorkerLost";
  if (why == "killed") {
    ++t.kills;
    if (t.once || t.losses >= limit) kind = "Crashed";
    if (t.kills >= kMaxKills) kind = "PoisonTask";
  }
  if (why == "suspect") {
    t.suspect = true;
    if (t.once) kind = "Crashed";
  }
  if (why == "retry") {
    ++t.retries_used;
    if (t.once || t.retries_used > t.retries) kind = "FunctionFailed";
  }
  if (!last_error.empty()) t.last_error = last_error;
  if (!kind.empty()) {
    end(t, kind, "");
    return "failed";
  }
  t.status = "QUEUED";
  t.token.clear();
  t.session.clear();
  ++queued;
  queued_bytes += t.bytes;
  t.delayed = with_delay;
  if (with_delay) {
    delayed.insert(id);
  } else {
    push(id, t, true);
  }
  return "queued";
}

std::string RedisModel::requeue(const std::string& session, const std::string& id, const std::string& token,
                                const std::string& why, bool with_delay) {
  ModelTask* t = find(id);
  if (!t) {
    held -= drop_held(session, id);
    return "missing";
  }
  if (t->terminal() || t->token != token || t->session != session) return "stale";
  return give_back(id, *t, why, "because", with_delay);
}

std::string RedisModel::cancel(const std::string& id) {
  ModelTask* t = find(id);
  if (!t) return "missing";
  if (t->terminal()) return "terminal";
  if (t->waits()) {
    no_longer_queued(*t);
    delayed.erase(id);
    end(*t, "Cancelled", "");
    return "cancelled";
  }
  if (!t->cancel) {
    t->cancel = true;
    sessions[t->session].revokes.push_back(id + " " + t->token);
  }
  return "requested";
}

// ---- sessions ----

bool RedisModel::open(const std::string& session) {
  const auto it = sessions.find(session);
  if (it != sessions.end() && !it->second.live) return false;
  sessions[session];
  known_sessions.insert(session);
  return true;
}

RedisModel::Renewal RedisModel::renew(const std::string& session, const std::vector<std::string>& done) {
  Renewal answer;
  const auto it = sessions.find(session);
  answer.missing = it == sessions.end();
  answer.live = !answer.missing && it->second.live;
  if (!answer.live) return answer;
  ++it->second.beat;
  for (const std::string& text : done) std::erase(it->second.revokes, text);
  answer.revokes = it->second.revokes;
  for (const std::string& other : known_sessions) {
    if (other != session) answer.others[other] = sessions.at(other).beat;
  }
  return answer;
}

std::string RedisModel::hold(const std::string& to, const std::string& id, const std::string& token) {
  ModelTask* t = find(id);
  if (!t || t->terminal() || t->token != token) return "refused";
  if (t->session == to) return "adopted";
  const std::string text = id + " " + token;
  held -= drop_held(t->session, id);
  if (const auto it = sessions.find(t->session); t->cancel && it != sessions.end())
    std::erase(it->second.revokes, text);
  t->session = to;
  held += sessions[to].held.emplace(id, token).second ? 1 : 0;
  sessions[to].held[id] = token;
  if (t->cancel) sessions[to].revokes.push_back(text);
  return "adopted";
}

std::string RedisModel::adopt(const std::string& to, const std::string& id, const std::string& token) {
  return is_live(to) ? hold(to, id, token) : "no session";
}

std::string RedisModel::reassert(const std::string& to, const std::string& id, const std::string& token,
                                 std::uint32_t number) {
  if (!is_live(to)) return "no session";
  ModelTask* t = find(id);
  if (!t || !t->waits()) return hold(to, id, token);
  if (number > t->attempt || (number == t->attempt && number > 0)) {
    t->attempt = number;
  } else {
    ++t->attempt;
  }
  t->token = token;
  t->session = to;
  delayed.erase(id);
  ModelLine& line = lines[t->queue];
  const auto named = [&](const auto& one) { return one.second == id; };
  if (t->priority > 0) std::erase_if(line.high, named);
  if (t->priority < 0) std::erase_if(line.low, named);
  held += sessions[to].held.contains(id) ? 0 : 1;
  sessions[to].held[id] = token;
  no_longer_queued(*t);
  return "adopted";
}

bool RedisModel::reap(const std::string& session, std::uint64_t beat,
                      const std::map<std::string, std::uint64_t>& accepted) {
  const auto it = sessions.find(session);
  if (it == sessions.end() || it->second.beat != beat || !known_sessions.contains(session)) return false;
  it->second.live = false;
  const auto had = it->second.held;
  std::vector<std::pair<std::uint64_t, std::string>> lost;
  for (const auto& [id, token] : had) {
    const ModelTask* t = find(id);
    if (t && !t->terminal() && t->token == token && t->session == session) lost.emplace_back(accepted.at(id), id);
  }
  std::sort(lost.rbegin(), lost.rend());
  for (const auto& [when, id] : lost) {
    ModelTask& t = tasks.at(id);
    const bool burnt = t.once || t.status == "RUNNING";
    give_back(id, t, burnt ? "lost" : "unstarted", burnt ? "WorkerLost" : "", false);
  }
  held -= static_cast<std::int64_t>(it->second.held.size());
  it->second.held.clear();
  it->second.revokes.clear();
  it->second.given.clear();
  known_sessions.erase(session);
  return true;
}

}  // namespace treadle::store::contract
