// The dispatchers' sessions as an embedded store keeps them: in memory, since a dispatcher inside this process dies
// with it. The law is in docs/decisions/0003-sessions.md. Sessions know slots and tokens; what becomes of a task is the
// ledger's.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "core/claims.h"

namespace treadle::store {

struct Session {
  std::string name;
  bool live = true;  // false: reaped; kept for a while, so that its owner learns it
  std::uint64_t beat = 1;
  std::uint64_t last_call = 0;
  std::vector<core::Held> last_claim;  // what the last call was given
  std::uint64_t last_ticket = 0;       // of its commit; 0: nothing to wait for
  bool last_more = false;
  std::unordered_set<std::uint32_t> held;  // slots whose attempt it owns
  std::vector<core::Held> revokes;         // repeated with each renewal until acknowledged
};

class Sessions {
 public:
  // False: a session of this id was reaped.
  bool open(SessionId id, std::string name);
  Session* find(SessionId id);       // reaped ones too
  Session* find_live(SessionId id);  // null: missing or reaped
  std::vector<core::SessionBeat> others(SessionId but) const;
  void bury(SessionId id);  // marks it reaped; of reaped ones only the last kReapedKept are remembered
  void hold(SessionId id, std::uint32_t slot);
  void let_go(SessionId id, std::uint32_t slot, core::Held attempt);

 private:
  static constexpr std::size_t kReapedKept = 1000;
  std::unordered_map<SessionId, Session> all_;
  std::deque<SessionId> reaped_;
};

}  // namespace treadle::store
