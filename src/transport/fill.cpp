// A pulled payload goes where the codec found its reference.
#include <string>

#include "base/assert.h"
#include "transport/codec.h"

namespace treadle::transport {
namespace {

using Part = Slot::Part;

void fill_outcome(core::Outcome& outcome, Part part, const Buffer& bytes) {
  switch (part) {
    case Part::Result: outcome.result.bytes = bytes; return;
    case Part::ErrorType: outcome.error_type = bytes.view(); return;
    case Part::ErrorMessage: outcome.error_message = bytes.view(); return;
    case Part::Traceback: outcome.traceback = bytes.view(); return;
    case Part::Output: outcome.output = bytes.view(); return;
    case Part::Args:
    case Part::Body:
    case Part::LastError: break;
  }
  TREADLE_ASSERT(!"no part of an outcome");
}

}  // namespace

void fill(core::WorkerMessage& message, const Slot& slot, const Buffer& bytes) {
  if (!slot.given_back) return fill_outcome(message.outcomes.at(slot.item).outcome, slot.part, bytes);
  core::GivenBack& given = message.given_back.at(slot.item);
  if (slot.part != Part::LastError) return fill_outcome(given.failure, slot.part, bytes);
  given.last_error = bytes.view();
}

void fill(core::DispatcherMessage& message, const Slot& slot, const Buffer& bytes) {
  if (slot.part == Part::Args) {
    message.attempts.at(slot.item).args.bytes = bytes;
  } else {
    TREADLE_ASSERT(slot.part == Part::Body);
    message.functions.at(slot.item).body.bytes = bytes;
  }
}

}  // namespace treadle::transport
