// The memory engine: the ledger and a table of maps. For `--store memory:`, and for the simulator, which crashes it.
#pragma once

#include "store/ledger_store.h"
#include "store/memory/memory_table.h"

namespace treadle::store {

struct MemoryOptions {
  bool manual_commit = false;  // nothing becomes durable until commit_up_to() or commit_all()
  LedgerStoreConfig store;     // its failure writer is set by the constructor
};

class MemoryStore final : public LedgerStore {
 public:
  MemoryStore(const Clock& clock, FailureWriter failure, MemoryOptions options = {});

  // Commits are numbered from 1 in the order in which operations decided something. The answers come from turn().
  std::uint64_t commits() const;
  void commit_up_to(std::uint64_t number);
  void commit_all() { commit_up_to(commits()); }
  // kill -9 and a new start: all that had no durable ticket is forgotten, with everybody who waited for an answer.
  void crash();
  std::uint64_t terminal_twice() const;  // ends that were written over another end: has to be 0

 private:
  MemoryTable& memory();
  const MemoryTable& memory() const;
};

}  // namespace treadle::store
