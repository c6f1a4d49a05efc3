"""Judges a history. Each rule yields a sentence for every offence; none looks at timeouts, so load alone offends none."""

import collections

from history.model import TERMINAL

LEGAL = {
    "": {"QUEUED"},
    "QUEUED": {"QUEUED", "CLAIMED", "RUNNING", "COMPLETED", "FAILED"},
    "CLAIMED": {"CLAIMED", "QUEUED", "RUNNING", "COMPLETED", "FAILED"},
    "RUNNING": {"RUNNING", "QUEUED", "COMPLETED", "FAILED"},
    "COMPLETED": set(),
    "FAILED": set(),
}
# A log in which every claim stands (Redis) allows less: nothing runs or completes unclaimed.
LEGAL_WITH_CLAIMS = {**LEGAL, "QUEUED": {"CLAIMED", "FAILED"}, "CLAIMED": LEGAL["CLAIMED"] - {"CLAIMED"}}
LEGAL_WITH_CLAIMS["RUNNING"] = LEGAL["RUNNING"] - {"RUNNING"}
KINDS_OF_FAULTS = {"WorkerLost", "PoisonTask", "Crashed"}  # how a task fails that lost its worker or its executor


class Index:
    """The history by task and by key."""

    def __init__(self, history):
        self.h = history
        self.submits = [call for call in history.calls if call.op == "submit"]
        self.accepted = {}  # task -> its first acknowledged submit
        for call in self.submits:
            if call.outcome == "ok" and call.task not in self.accepted:
                self.accepted[call.task] = call
        self.key_of = {task: call.key for task, call in self.accepted.items()}
        self.unknown = collections.Counter(call.key for call in self.submits if call.outcome == "unknown")
        self.runs = collections.defaultdict(list)  # key -> runs
        self.by_nonce = {}
        for run in history.runs:
            self.runs[run.key].append(run)
            self.by_nonce[run.nonce] = run
        self.looks = collections.defaultdict(list)
        self.cancels = collections.defaultdict(list)
        for call in history.calls:
            if call.op == "look" and call.outcome == "ok":
                self.looks[call.task].append(call)
            elif call.op == "cancel":
                self.cancels[call.task].append(call)
        for looks in self.looks.values():
            looks.sort(key=lambda call: call.ended)
        self.changes = collections.defaultdict(list)
        for change in history.changes:
            if change.task:
                self.changes[change.task].append(change)

    def wiped(self, since):
        """Whether a fault that takes everything ended after this instant."""
        return any(blow.wipes and blow.ended >= since for blow in self.h.blows)

    def struck(self, since, until):
        """Whether a fault could have had effect between these instants."""
        return any(blow.begun <= until and blow.until >= since for blow in self.h.blows)

    def requeued(self, task):
        changes = self.changes[task]
        return sum(b.status == "QUEUED" and a.status != "QUEUED" for a, b in zip(changes, changes[1:]))

    def accepted_at(self, task):
        """When its submit was answered; before all time if the answer was lost."""
        call = self.accepted.get(task)
        return call.ended if call else float("-inf")

    def terminal_at(self, task):
        """When a client first knew that it had ended; None if none did."""
        return min((c.ended for c in self.looks[task] if c.status in TERMINAL), default=None)


def lost(i):
    """An acknowledged task has exactly one terminal state, in the end."""
    for task, call in i.accepted.items():
        final = i.h.finals.get(task)
        if (final is None or final.status not in TERMINAL) and not i.wiped(call.begun):
            yield f"task {task} (key {call.key}) was accepted and is {final.status if final else 'gone'}"


def unexpected(i):
    """The store holds no task that nobody wanted."""
    spare = i.unknown.copy()
    nameless = 0
    for task, final in i.h.finals.items():
        if task in i.accepted:
            continue
        if final.value is None:
            nameless += 1
        elif spare[final.value[0]] > 0:
            spare[final.value[0]] -= 1
        else:
            yield f"task {task} has the key {final.value[0]}, which nobody submitted"
    if nameless > sum(spare.values()):
        yield f"{nameless} tasks without a result were submitted by nobody"


def key_has_two_tasks(i):
    """One idempotency key is one task, however often it was sent."""
    seen = collections.defaultdict(set)
    for call in i.submits:
        if call.outcome == "ok" and i.h.intents[call.key].idem and not i.wiped(call.begun):
            seen[call.key].add(call.task)
    for key, tasks in seen.items():
        if len(tasks) > 1:
            yield f"the idempotency key of {key} answered with {sorted(tasks)}"


def one_id_twice(i):
    """Two tasks that are wanted apart have two ids."""
    seen = {}
    for call in i.submits:
        if call.outcome == "ok" and seen.setdefault(call.task, call.key) != call.key:
            yield f"task {call.task} was given to the keys {seen[call.task]} and {call.key}"


def conflict_accepted(i):
    """Another body under a used idempotency key is refused."""
    for call in i.h.calls:
        if call.op == "conflict" and call.outcome == "ok" and not i.wiped(call.begun):
            yield f"another body under the idempotency key of {call.key} was accepted as {call.task}"


def started_twice(i):
    """User code of an at-most-once task starts at most once."""
    for key, runs in i.runs.items():
        intent = i.h.intents.get(key)
        if intent and intent.once and len(runs) > 1 and not i.wiped(runs[0].started):
            yield f"at-most-once key {key} started {len(runs)} times"


def ran_unasked(i):
    """Nothing runs that nobody submitted."""
    asked = set(i.key_of.values()) | set(i.unknown)
    for key in i.runs:
        if key not in asked:
            yield f"key {key} ran, and was never submitted"


def again_without_fault(i):
    """Only a fault makes a task run twice."""
    for key, runs in i.runs.items():
        intent = i.h.intents.get(key)
        if intent is None or intent.once:
            continue
        for first, second in zip(runs, runs[1:]):
            if not i.struck(first.started, second.started):
                yield f"key {key} ran again at {second.started:.3f} without a fault since {first.started:.3f}"


def wrong_value(i):
    """A result is the value that a counted run of this very task returned."""
    for task, final in i.h.finals.items():
        of_code = final.status == "COMPLETED" or final.kind == "FunctionFailed"
        if not of_code:
            continue
        if final.value is None:
            yield f"task {task} is {final.status} and its result names no run"
            continue
        key, nonce = final.value
        run = i.by_nonce.get(nonce)
        intent = i.h.intents.get(key)
        if run is None or run.key != key or run.ended is None:
            yield f"task {task} has the result {final.value}, which no run returned"
        elif i.key_of.get(task, key) != key:
            yield f"task {task} is of key {i.key_of[task]} and has the result of key {key}"
        elif intent and intent.raises != (final.status == "FAILED"):
            yield f"task {task} (key {key}) is {final.status}, and raises={intent.raises}"


def stale_result(i):
    """A result is that of the last attempt that was given out: an earlier one has been overtaken and must be refused."""
    for task, final in i.h.finals.items():
        if final.value is None or final.status not in TERMINAL:
            continue
        won = i.by_nonce.get(final.value[1])
        if won is None or i.wiped(won.started):
            continue
        known = i.terminal_at(task) or float("inf")  # what began after a client saw the end offends another rule
        later = [run for run in i.runs[final.value[0]] if i.h.follows(run, won) and run.started < known]
        if later:
            yield f"task {task} (key {final.value[0]}) has the result of a run that another had followed"


def stale_token(i):
    """In the log: what ends a task carries the token that was given out last."""
    if not i.h.claims_logged:
        return
    for task, changes in i.changes.items():
        current = ""
        for change in changes:
            if change.status in TERMINAL:
                if change.token and change.token != current:
                    yield f"task {task} was ended by token {change.token} while {current or 'none'} counted"
            elif change.status != "RUNNING":
                current = change.token


def terminal_twice(i):
    """In the log: a task ends once; a second end offends even if it is equal."""
    for task, changes in i.changes.items():
        ends = sum(change.status in TERMINAL for change in changes)
        if ends > 1:
            yield f"task {task} ended {ends} times"


def illegal_transition(i):
    """In the log: only legal steps, and none after the end (terminal_twice tells of a second end)."""
    legal = LEGAL_WITH_CLAIMS if i.h.claims_logged else LEGAL
    for task, changes in i.changes.items():
        before = ""
        for change in changes:
            second_end = before in TERMINAL and change.status in TERMINAL
            if change.status not in legal[before] and not second_end:
                yield f"task {task} went from {before or 'nothing'} to {change.status}"
            before = change.status


def dump_disagrees(i):
    """The store's last word is the last line of its log."""
    for task, changes in i.changes.items():
        final = i.h.finals.get(task)
        if final and changes[-1].status.replace("CLAIMED", "QUEUED") != final.status:
            yield f"task {task} is {final.status}, and its log ends with {changes[-1].status}"


def backwards(i):
    """What a client has seen does not go back: ended stays ended, and RUNNING returns to QUEUED only by a fault."""
    rank = {"QUEUED": 0, "RUNNING": 1, "COMPLETED": 2, "FAILED": 2}
    for task, looks in i.looks.items():
        highest = None  # the look that ended first among those with the highest status so far
        for look in looks:
            if look.status not in rank:
                continue
            earlier = highest and highest.ended <= look.begun and rank[highest.status] > rank[look.status]
            if earlier and (highest.status in TERMINAL or not i.struck(i.accepted_at(task), look.ended)):
                yield f"task {task} was {highest.status} at {highest.ended:.3f} and {look.status} at {look.begun:.3f}"
            if highest is None or rank[look.status] >= rank[highest.status]:
                highest = look if highest is None or rank[look.status] > rank[highest.status] else highest


def vanished(i):
    """A task that was acknowledged is never unknown afterwards."""
    for task, looks in i.looks.items():
        begun = i.accepted_at(task)
        for look in looks:
            if look.status == "404" and look.begun >= begun and not i.wiped(begun):
                yield f"task {task} was unknown at {look.begun:.3f}, after it had been accepted"


def result_changed(i):
    """All reads of a result are equal, byte by byte, and say what the store holds at the end."""
    for task, looks in i.looks.items():
        ends = {(look.status, look.result) for look in looks if look.status in TERMINAL}
        if len(ends) > 1:
            yield f"task {task} had {len(ends)} different ends in the eyes of clients"
        final = i.h.finals.get(task)
        if final and ends and final.status in TERMINAL and final.status not in {status for status, _ in ends}:
            yield f"task {task} was seen {sorted(status for status, _ in ends)} and is {final.status}"


def late_starts(i, once):
    for task, call in i.accepted.items():
        known = i.terminal_at(task)
        intent = i.h.intents[call.key]
        for run in i.runs[call.key] if known is not None and intent.once == once else ():
            if run.started > known and not i.wiped(known):
                yield f"task {task} (key {call.key}) started {run.started - known:.3f} s after it was seen ended"


def ran_after_end(i):
    """Nothing starts of a task that a client has seen ended. A worker that slept may offend it: see `Row.excused`."""
    yield from late_starts(i, False)


def once_ran_after_end(i):
    """The same of at-most-once tasks, which no fault excuses."""
    yield from late_starts(i, True)


def ran_though_cancelled(i):
    """A task that was cancelled while it waited does not start."""
    for task, cancels in i.cancels.items():
        for cancel in cancels:
            if cancel.outcome != "ok" or cancel.status != "200":
                continue
            for run in i.runs[i.key_of.get(task, -1)]:
                if run.started > cancel.ended or not i.struck(run.started, cancel.ended):
                    yield f"task {task} was cancelled while it waited, and ran at {run.started:.3f}"


def wrong_kind(i):
    """A task fails because its code raised, because it was cancelled, or because a fault took its worker."""
    for task, final in i.h.finals.items():
        key = i.key_of.get(task)
        if final.status != "FAILED" or final.kind == "FunctionFailed" or key is None:
            continue
        if final.kind == "Cancelled" and i.cancels[task]:
            continue
        if final.kind in KINDS_OF_FAULTS and i.struck(i.accepted[task].begun, float("inf")):
            continue
        yield f"task {task} (key {key}) failed with {final.kind}, for which nothing was done"


def oversold(i):
    """An executor runs one task at a time."""
    last = {}
    for run in i.h.runs:
        before = last.get(run.pid)
        if before and before.ended is not None and before.ended > run.started:
            yield f"executor {run.pid} began key {run.key} while it ran key {before.key}"
        last[run.pid] = run


RULES = (
    lost, unexpected, key_has_two_tasks, one_id_twice, conflict_accepted, started_twice, ran_unasked, again_without_fault,
    wrong_value, stale_result, stale_token, terminal_twice, illegal_transition, dump_disagrees, backwards, vanished,
    result_changed, ran_after_end, once_ran_after_end, ran_though_cancelled, wrong_kind, oversold,
)  # fmt: skip


def check(history, excused=()):
    """{rule: its sentences}, only rules that found something. Rules of the store's log need a whole log."""
    index = Index(history)
    of_log = {stale_token, terminal_twice, illegal_transition, dump_disagrees}
    found = {}
    for rule in RULES:
        if rule.__name__ in excused or (rule in of_log and not history.logged):
            continue
        sentences = list(rule(index))
        if sentences:
            found[rule.__name__] = sentences
    return found
