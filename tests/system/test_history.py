"""The checker checks: good histories pass, and each rule has a bad history that it alone finds."""

import copy
import pathlib
import sqlite3
import uuid

import pytest

import wire
from history import checker, redis_side, sqlite_side
from history.client_side import outcome_of
from history.model import Blow, Call, Change, Final, History, Intent, Run
from history.runs import RunsFile
from history.user_code import work


def task_of(key):
    return f"00000000-0000-7000-8000-{key:012d}"


class Story:
    """A history that grows by whole tasks; `at` is its clock."""

    def __init__(self):
        self.h = History()
        self.at = 100.0
        self._pid = 1000

    def tick(self, seconds=0.1):
        self.at += seconds
        return self.at

    def submit(self, key, outcome="ok", **intent):
        self.h.intents[key] = Intent(key, **intent)
        task = task_of(key) if outcome == "ok" else ""
        self.h.calls.append(Call("submit", key, self.tick(), self.tick(), outcome, task))
        if outcome != "refused":
            self.log(key, "QUEUED")
            self.h.finals[task_of(key)] = Final(task_of(key), "QUEUED", idem=bool(intent.get("idem")))
        return self

    def log(self, key, status, token=""):
        self.h.changes.append(Change(task_of(key), status, token))

    def claim(self, key, token):
        self.log(key, "CLAIMED", token)
        return self

    def run(self, key, nonce, ends=True, pid=None):
        self._pid += 1
        started = self.tick()
        self.log(key, "RUNNING")
        self.h.runs.append(Run(key, nonce, pid or self._pid, started, self.tick() if ends else None))
        return self

    def end(self, key, nonce, token, status="COMPLETED", kind=""):
        self.log(key, status, token)
        value = [key, nonce] if nonce else None
        self.h.finals[task_of(key)] = Final(task_of(key), status, kind, value, self.h.finals[task_of(key)].idem)
        return self

    def requeue(self, key):
        self.log(key, "QUEUED")
        return self

    def look(self, key, status, result=""):
        self.h.calls.append(Call("look", key, self.tick(), self.tick(), "ok", task_of(key), status, result))
        return self

    def cancel(self, key, status):
        self.h.calls.append(Call("cancel", key, self.tick(), self.tick(), "ok", task_of(key), status))
        return self

    def blow(self, wipes=False):
        begun = self.tick()
        self.h.blows.append(Blow("fault", begun, self.tick(), self.at + 30, wipes))
        return self

    def whole(self, key, **intent):
        """From submit to a look at its result."""
        token, raises = f"t{key}", intent.get("raises")
        self.submit(key, **intent).claim(key, token).look(key, "QUEUED").run(key, f"n{key}").look(key, "RUNNING")
        self.end(key, f"n{key}", token, *(("FAILED", "FunctionFailed") if raises else ()))
        return self.look(key, "FAILED" if raises else "COMPLETED", f"result {key}")


def plain():
    return Story().whole(1).whole(2, raises=True).whole(3, once=True).whole(4, idem="k4")


def worker_died():
    """Its attempt was cut off and ran again; an at-most-once task was lost with it."""
    one = Story().submit(1).claim(1, "a").run(1, "n1", ends=False).look(1, "RUNNING")
    one.submit(2, once=True).claim(2, "b").run(2, "n2", ends=False)
    one.blow().requeue(1).look(1, "QUEUED").claim(1, "c").run(1, "n3").end(1, "n3", "c").look(1, "COMPLETED", "r")
    return one.end(2, None, "", "FAILED", "WorkerLost").look(2, "FAILED", "lost")


def worker_slept():
    """It begins its attempt when another has already been given out, and has run: what counts is the number."""
    one = Story().submit(1).claim(1, "a").blow().requeue(1).claim(1, "b").run(1, "n2").end(1, "n2", "b")
    one.h.runs[-1].attempt = 2
    one.h.runs.append(Run(1, "n1", 6, one.tick(), one.tick(), attempt=1))
    return one


def store_restarted():
    """The embedded store crashed in the third attempt, and gives its numbers again: what counts is the order."""
    one = Story().submit(1).claim(1, "a").run(1, "n1", ends=False)
    one.h.restarts.append(one.blow().tick())
    one.requeue(1).claim(1, "b").run(1, "n2").end(1, "n2", "b")
    one.h.runs[-2].attempt, one.h.runs[-1].attempt = 3, 1
    return one


def old_attempt_begun_after_a_restart():
    """The store crashed when the second attempt had ended; then a worker begins the first."""
    one = Story().submit(1).claim(1, "a").blow().requeue(1).claim(1, "b").run(1, "n2").end(1, "n2", "b")
    one.h.runs[-1].attempt = 2
    one.h.restarts.append(one.tick())
    one.h.runs.append(Run(1, "n1", 6, one.tick(), one.tick(), attempt=1))
    return one


def old_attempt_begun_before_the_new_one_of_a_restart():
    """As before, but the store gives the task anew while the worker still runs its old second attempt."""
    one = Story().submit(1).claim(1, "a").blow()
    one.h.restarts.append(one.tick())
    one.h.runs.append(Run(1, "n1", 6, one.tick(), one.tick(), attempt=2))
    one.requeue(1).claim(1, "b").run(1, "n2").end(1, "n2", "b")
    one.h.runs[-1].attempt = 1
    return one


def answers_lost():
    """Submits without an answer: one arrived, one did not, one was repeated under its key."""
    one = Story().submit(1, "unknown").claim(1, "a").run(1, "n1").end(1, "n1", "a")
    one.h.intents[2] = Intent(2)
    one.h.calls.append(Call("submit", 2, one.tick(), one.tick(), "unknown"))
    one.submit(3, idem="k").h.calls.insert(0, Call("submit", 3, 1.0, 2.0, "unknown"))
    return one.claim(3, "b").run(3, "n3").end(3, "n3", "b").look(3, "COMPLETED", "r")


def cancelled():
    """One while it waited, one while it ran, one that had ended."""
    one = Story().submit(1).cancel(1, "200").end(1, None, "", "FAILED", "Cancelled").look(1, "FAILED", "c")
    one.submit(2).claim(2, "a").run(2, "n2", ends=False).cancel(2, "202")
    one.end(2, None, "a", "FAILED", "Cancelled").look(2, "FAILED", "c")
    return one.whole(3).cancel(3, "409")


def flushed():
    """All is gone: nobody promised otherwise."""
    one = Story().submit(1).claim(1, "a").run(1, "n1").submit(2).blow(wipes=True)
    one.h.finals.clear()
    one.h.changes.append(Change("", "WIPED"))
    return one.look(1, "404").look(2, "404").whole(3)


GOOD = [
    plain,
    worker_died,
    worker_slept,
    store_restarted,
    old_attempt_begun_after_a_restart,
    old_attempt_begun_before_the_new_one_of_a_restart,
    answers_lost,
    cancelled,
    flushed,
]


@pytest.mark.parametrize("story", GOOD)
def test_good_histories_pass(story):
    assert checker.check(story().h) == {}


def test_a_history_of_sqlite_need_not_have_its_claims():
    """A start that was not written, a claim after a crash that has no line: legal there, and not with Redis."""
    one = Story().submit(1).run(1, "n1", ends=False).blow().run(1, "n2").end(1, "n2", "t")
    one.h.claims_logged = False
    assert checker.check(one.h) == {}
    one.h.claims_logged = True
    assert set(checker.check(one.h)) == {"illegal_transition", "stale_token"}


# -- bad ones: each is a good one with one thing changed ---------------------------------------------------------------


def is_lost(one):
    one.submit(9)


def is_gone(one):
    one.submit(9)
    one.h.changes = [change for change in one.h.changes if change.task != task_of(9)]
    del one.h.finals[task_of(9)]


def is_unexpected(one):
    one.h.finals[task_of(77)] = Final(task_of(77), "FAILED", "Cancelled")


def has_two_tasks(one):
    one.submit(9, idem="k9").claim(9, "a").run(9, "n9").end(9, "n9", "a")
    other = task_of(10)
    one.h.calls.append(Call("submit", 9, one.tick(), one.tick(), "ok", other))
    one.h.changes += [Change(other, word, token) for word, token in (("QUEUED", ""), ("CLAIMED", "b"))]
    one.h.changes.append(Change(other, "FAILED", ""))
    one.h.finals[other] = Final(other, "FAILED", "Cancelled")
    one.h.calls.append(Call("cancel", 9, one.tick(), one.tick(), "ok", other, "202"))


def is_shared(one):
    one.h.intents[9] = Intent(9)
    one.h.calls.append(Call("submit", 9, one.tick(), one.tick(), "ok", task_of(1)))


def takes_a_conflict(one):
    one.h.calls.append(Call("conflict", 4, one.tick(), one.tick(), "ok", task_of(4)))


def starts_twice(one):
    one.submit(9, once=True).claim(9, "a").run(9, "n8", ends=False)
    one.blow().requeue(9).claim(9, "b").run(9, "n9").end(9, "n9", "b")


def runs_unasked(one):
    one.submit(9, "refused").h.runs.append(Run(9, "n9", 5, one.tick(), one.tick()))


def runs_again(one):
    one.submit(9).claim(9, "a").run(9, "n8", ends=False).requeue(9).claim(9, "b").run(9, "n9").end(9, "n9", "b")


def returns_what_no_run_returned(one):
    one.submit(9).claim(9, "a").run(9, "n9").end(9, "forged", "a")


def returns_before_it_ended(one):
    one.submit(9).claim(9, "a").run(9, "n9", ends=False).end(9, "n9", "a")


def returns_another_s_value(one):
    one.submit(9).claim(9, "a").run(9, "n9").end(9, "n9", "a").h.finals[task_of(9)].value = [1, "n1"]


def completes_though_it_raised(one):
    one.submit(9, raises=True).claim(9, "a").run(9, "n9").end(9, "n9", "a")


def takes_a_late_result(one):
    """The first worker slept, was overtaken, and its result counted all the same: its token had come back."""
    one.submit(9).claim(9, "a").run(9, "n8", ends=False).blow().requeue(9).claim(9, "b").run(9, "n9")
    one.h.runs[-2].ended = one.tick()
    one.end(9, "n8", "b")


def takes_the_result_of_a_sleeper(one):
    """The first attempt begins late, while the second runs, and its result counts."""
    one.submit(9).claim(9, "a").blow().requeue(9).claim(9, "b").run(9, "second")
    one.h.runs[-1].attempt = 2
    one.h.runs.append(Run(9, "first", 6, one.tick(), one.tick(), attempt=1))
    one.end(9, "first", "b")


def takes_the_result_of_before_a_restart(one):
    """Both have the first number, since the store began anew between them."""
    one.submit(9).claim(9, "a").run(9, "first")
    one.h.restarts.append(one.blow().tick())
    one.requeue(9).claim(9, "b").run(9, "second", ends=False).end(9, "first", "b")
    one.h.runs[-2].attempt = one.h.runs[-1].attempt = 1


def takes_an_old_token(one):
    one.submit(9).claim(9, "a").blow().requeue(9).claim(9, "b").run(9, "n9").end(9, "n9", "a")


def ends_twice(one):
    one.submit(9).claim(9, "a").run(9, "n9").end(9, "n9", "a").end(9, "n9", "a")


def goes_back_after_its_end(one):
    one.submit(9).claim(9, "a").run(9, "n9").end(9, "n9", "a").requeue(9)
    one.h.finals[task_of(9)].status = "COMPLETED"


def completes_unclaimed(one):
    one.submit(9).run(9, "n9").end(9, "n9", "")


def dump_says_other(one):
    one.submit(9).claim(9, "a").run(9, "n9")
    one.h.finals[task_of(9)] = Final(task_of(9), "COMPLETED", "", [9, "n9"])


def is_seen_going_back(one):
    one.look(1, "RUNNING")


def is_seen_queued_again(one):
    one.submit(9).claim(9, "a").run(9, "n9").look(9, "RUNNING").look(9, "QUEUED").end(9, "n9", "a")


def is_not_found(one):
    one.look(1, "404")


def changes_its_result(one):
    one.look(1, "COMPLETED", "another")


def runs_after_its_end(one):
    one.blow().run(1, "late").h.changes.pop()
    one.h.runs[-1].ended = None


def starts_once_after_its_end(one):
    """Failed as lost, and then it starts after all."""
    one.submit(9, once=True).claim(9, "a").blow().end(9, None, "", "FAILED", "WorkerLost").look(9, "FAILED", "lost")
    one.h.runs.append(Run(9, "n9", 5, one.tick()))


def runs_though_cancelled(one):
    one.submit(9).cancel(9, "200").end(9, None, "", "FAILED", "Cancelled")
    one.h.runs.append(Run(9, "n9", 5, one.tick()))


def fails_for_nothing(one):
    one.submit(9).claim(9, "a").end(9, None, "", "FAILED", "WorkerLost")


def runs_two_at_once(one):
    one.submit(8).claim(8, "a").run(8, "n8", pid=7).end(8, "n8", "a")
    one.submit(9).claim(9, "b").run(9, "n9", pid=7).end(9, "n9", "b")
    one.h.runs[-2].ended = one.h.runs[-1].started + 0.01


BAD = [
    (is_lost, "lost"),
    (is_gone, "lost"),
    (is_unexpected, "unexpected"),
    (has_two_tasks, "key_has_two_tasks"),
    (is_shared, "one_id_twice"),
    (takes_a_conflict, "conflict_accepted"),
    (starts_twice, "started_twice"),
    (runs_unasked, "ran_unasked"),
    (runs_again, "again_without_fault"),
    (returns_what_no_run_returned, "wrong_value"),
    (returns_before_it_ended, "wrong_value"),
    (returns_another_s_value, "wrong_value"),
    (completes_though_it_raised, "wrong_value"),
    (takes_a_late_result, "stale_result"),
    (takes_the_result_of_a_sleeper, "stale_result"),
    (takes_the_result_of_before_a_restart, "stale_result"),
    (takes_an_old_token, "stale_token"),
    (ends_twice, "terminal_twice"),
    (goes_back_after_its_end, "illegal_transition"),
    (completes_unclaimed, "illegal_transition"),
    (dump_says_other, "dump_disagrees"),
    (is_seen_going_back, "backwards"),
    (is_seen_queued_again, "backwards"),
    (is_not_found, "vanished"),
    (changes_its_result, "result_changed"),
    (runs_after_its_end, "ran_after_end"),
    (starts_once_after_its_end, "once_ran_after_end"),
    (runs_though_cancelled, "ran_though_cancelled"),
    (fails_for_nothing, "wrong_kind"),
    (runs_two_at_once, "oversold"),
]


@pytest.mark.parametrize("change, rule", BAD, ids=lambda word: getattr(word, "__name__", word))
def test_each_rule_alone_finds_its_bad_history(change, rule):
    one = plain()
    before = copy.deepcopy(one.h)
    change(one)
    assert one.h != before
    found = checker.check(one.h)
    allowed = {rule} | ALSO.get(change.__name__, set())
    assert rule in found and set(found) <= allowed, found


# What cannot happen without offending a second rule: the log after an end disagrees with what was kept.
ALSO = {"goes_back_after_its_end": {"dump_disagrees"}}


def test_every_rule_has_a_bad_history():
    assert {rule.__name__ for rule in checker.RULES} == {rule for _, rule in BAD}


# -- the three sides ---------------------------------------------------------------------------------------------------


def test_runs_are_read_as_user_code_wrote_them(tmp_path):
    """Also a line that is not whole yet."""
    file = RunsFile(tmp_path / "runs")
    assert file.look() == []
    key, nonce = work(str(file.path), 7, 0, False)
    with pytest.raises(ValueError) as failed:
        work(str(file.path), 8, 0, True)
    with open(file.path, "a") as out:
        out.write("start 9 abc 1 1000000000 ")
    first, second = file.look()
    assert (first.key, first.nonce) == (key, nonce) and first.started <= first.ended and file.open() == []
    assert str(failed.value) == f"8 {second.nonce}"
    with open(file.path, "a") as out:
        out.write("4\n")
    assert file.look()[2].started == 1.0 and file.look()[2].attempt == 4 and [run.key for run in file.open()] == [9]


@pytest.mark.parametrize("prefix", ["", "{p07}:"], ids=["whole", "in partitions"])
def test_an_append_only_file_is_read_up_to_its_torn_end(tmp_path, prefix):
    def command(*words):
        return f"*{len(words)}\r\n" + "".join(f"${len(word)}\r\n{word}\r\n" for word in words)

    task, other = task_of(1), task_of(2)
    lines = [
        command("SELECT", "0"),
        "#TS:1\r\n",
        command("HSET", prefix + task, "task_id", task, "task_status", "QUEUED"),
        command("HSET", prefix + "treadle:meta", "queued", "1"),
        command("HSET", prefix + task, "token", "a", "session", "s"),
        command("HSET", prefix + task, "task_status", "RUNNING", "started", "5"),
        command("HSET", prefix + task, "task_status", "COMPLETED", "token", "a", "task_result", "x\r\ny"),
        command("FLUSHALL"),
        command("HSET", other, "task_status", "QUEUED")[:-3],
    ]
    files = tmp_path / "appendonlydir"
    files.mkdir()
    (files / "appendonly.aof.1.incr.aof").write_text("".join(lines), newline="")
    (files / "appendonly.aof.manifest").write_text("no log")
    words = ("QUEUED", ""), ("CLAIMED", "a"), ("RUNNING", ""), ("COMPLETED", "a")
    assert redis_side.changes(tmp_path) == [Change(task, *pair) for pair in words] + [Change("", "WIPED")]


def test_the_log_of_sqlite_grows_with_every_change(serve, tmp_path):
    """Of a server that ran a task of each kind."""
    server = serve("-w", 2)
    assert server.stop() in (0, 130, 143)
    database = pathlib.Path(server.data) / "treadle.db"
    sqlite_side.install_log(database)
    server.start()
    file = RunsFile(tmp_path / "noted")
    function_id = server.register(work)
    good, bad = (server.execute(function_id, str(file.path), key, 0.05, key == 2) for key in (1, 2))
    server.value(good), server.failure(bad)
    server.kill()
    changes, finals = sqlite_side.read(database)
    assert [change.status for change in changes if change.task == good] == ["QUEUED", "RUNNING", "COMPLETED"]
    token = {change.token for change in changes if change.task == good and change.token}
    assert len(token) == 1 and all(len(word) == 16 for word in token)
    one, two = file.look()
    by_key = {run.key: run.nonce for run in (one, two)}
    assert finals[good] == Final(good, "COMPLETED", "", [1, by_key[1]])
    assert finals[bad] == Final(bad, "FAILED", "FunctionFailed", [2, by_key[2]])
    with sqlite3.connect(database) as db, pytest.raises(sqlite3.IntegrityError):
        db.execute("INSERT INTO history_log(n) VALUES(1)")
    assert uuid.UUID(good)


def test_what_an_answer_means():
    """A fault of the server leaves open whether it was done."""
    meaning = {200: "ok", 201: "ok", 202: "ok", 404: "refused", 409: "refused", 500: "unknown", 507: "unknown"}
    assert {status: outcome_of(wire.Reply(status, {}, b"")) for status in meaning} == meaning
    assert outcome_of(None) == "unknown"
