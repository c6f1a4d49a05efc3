#include "transport/oversized.h"

#include <string>

#include "core/failure_object.h"

namespace treadle::transport {

void fail_oversized(DecodedWorker& decoded, std::uint64_t max_blob) {
  std::erase_if(decoded.refs, [&](const BlobRef& ref) {
    if (ref.slot.part != Slot::Part::Result || ref.slot.given_back || ref.size <= max_blob) return false;
    core::OutcomeReport& report = decoded.message.outcomes.at(ref.slot.item);
    const std::string text =
        "the result has " + std::to_string(ref.size) + " bytes; the dispatcher takes at most " +
        std::to_string(max_blob) +
        " (--max-payload). Return less, store the data elsewhere and return where, or raise the limit";
    core::Outcome outcome;
    outcome.kind = core::ErrorKind::ResultTooLarge;
    outcome.result = core::worker_failure_object(report.attempt.task, to_string(decoded.message.worker), text);
    outcome.error_type = core::name_of(outcome.kind);
    outcome.error_message = text;
    outcome.output = report.outcome.output;
    outcome.measures = report.outcome.measures;
    report.outcome = std::move(outcome);
    return true;
  });
}

}  // namespace treadle::transport
