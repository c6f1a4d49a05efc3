#include "store/sessions.h"

#include <utility>

namespace treadle::store {

bool Sessions::open(SessionId id, std::string name) {
  Session& session = all_[id];
  if (!session.live) return false;
  session.name = std::move(name);
  return true;
}

Session* Sessions::find(SessionId id) {
  const auto it = all_.find(id);
  return it == all_.end() ? nullptr : &it->second;
}

Session* Sessions::find_live(SessionId id) {
  Session* session = find(id);
  return session && session->live ? session : nullptr;
}

std::vector<core::SessionBeat> Sessions::others(SessionId but) const {
  std::vector<core::SessionBeat> beats;
  for (const auto& [id, session] : all_) {
    if (id != but && session.live) beats.push_back({id, session.beat});
  }
  return beats;
}

void Sessions::bury(SessionId id) {
  Session& session = all_.at(id);
  session = {};
  session.live = false;
  reaped_.push_back(id);
  if (reaped_.size() <= kReapedKept) return;
  all_.erase(reaped_.front());
  reaped_.pop_front();
}

void Sessions::hold(SessionId id, std::uint32_t slot) { all_.at(id).held.insert(slot); }

void Sessions::let_go(SessionId id, std::uint32_t slot, core::Held attempt) {
  const auto it = all_.find(id);
  if (it == all_.end()) return;  // nobody: held for adoption
  it->second.held.erase(slot);
  std::erase(it->second.revokes, attempt);
}

}  // namespace treadle::store
