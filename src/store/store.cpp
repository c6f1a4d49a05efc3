#include "store/store.h"

namespace treadle::store {

std::string_view name_of(Level level) {
  switch (level) {
    case Level::None: return "none";
    case Level::Process: return "process";
    case Level::Power: return "power";
  }
  return "";
}

}  // namespace treadle::store
