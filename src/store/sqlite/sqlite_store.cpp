#include "store/sqlite/sqlite_store.h"

#include <utility>

#include "store/sqlite/database.h"
#include "store/sqlite/sqlite_table.h"

namespace treadle::store {

std::optional<Durability> parse_durability(std::string_view name) {
  for (const Durability one : {Durability::Strict, Durability::Fast, Durability::None}) {
    if (name == name_of(one)) return one;
  }
  return std::nullopt;
}

std::string_view name_of(Durability durability) {
  switch (durability) {
    case Durability::Strict: return "strict";
    case Durability::Fast: return "fast";
    case Durability::None: return "none";
  }
  return "";
}

Result<std::unique_ptr<Store>> open_sqlite(SqliteConfig config, const Clock& clock) try {
  LedgerStoreConfig store = config.store;
  store.ledger.failure = config.failure;
  store.ledger.adoption_window = config.adoption_window;
  TRY(auto table, SqliteTable::open(std::move(config), clock));
  return std::unique_ptr<Store>(std::make_unique<LedgerStore>(std::move(store), clock, std::move(table)));
} catch (const SqliteError& error) {
  return fail(Code::StoreError, std::string("cannot read the store: ") + error.what());
}

}  // namespace treadle::store
