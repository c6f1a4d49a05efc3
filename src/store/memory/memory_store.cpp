#include "store/memory/memory_store.h"

#include <utility>

namespace treadle::store {
namespace {

LedgerStoreConfig with_failure(LedgerStoreConfig config, FailureWriter failure) {
  config.ledger.failure = std::move(failure);
  return config;
}

}  // namespace

MemoryStore::MemoryStore(const Clock& clock, FailureWriter failure, MemoryOptions options)
    : LedgerStore(with_failure(std::move(options.store), std::move(failure)), clock,
                  std::make_unique<MemoryTable>(options.manual_commit)) {}

MemoryTable& MemoryStore::memory() { return static_cast<MemoryTable&>(table()); }
const MemoryTable& MemoryStore::memory() const { return static_cast<const MemoryTable&>(table()); }

std::uint64_t MemoryStore::commits() const { return memory().commits(); }
void MemoryStore::commit_up_to(std::uint64_t number) { memory().apply_up_to(number); }
std::uint64_t MemoryStore::terminal_twice() const { return memory().terminal_twice(); }

void MemoryStore::crash() {
  memory().forget_waiting();
  restart();
}

}  // namespace treadle::store
