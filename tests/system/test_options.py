"""What options of calls do, seen by the order and the times at which they start, on every store and in every mode."""

import time
from datetime import datetime, timedelta, timezone

import pytest

from cluster import ALL
from server import PATIENCE, eventually
from v1 import V1

pytestmark = pytest.mark.cells(*ALL)


def note(path, word, seconds=0):
    """Appends word and the time at its start, and the time at its end."""
    import os
    import time

    def write(text):
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(fd, text.encode())
        os.close(fd)

    write(f"{word} begin {time.time():.4f}\n")
    time.sleep(seconds)
    write(f"{word} end {time.time():.4f}\n")
    return word


def fail_as(path, kind):
    with open(path, "a") as file:
        file.write(f"{kind} begin {__import__('time').time():.4f}\n")
    raise {"reset": ConnectionResetError, "key": KeyError}[kind]("again")


class Slow(V1):
    """One slot, which a task can be made to hold until it is told to end."""

    def blocked(self, runs, seconds):
        task_id = self.submit(self.noting, runs.name, "blocker", seconds)
        assert eventually(lambda: runs.count("blocker") == 1, 20)
        return task_id


@pytest.fixture(scope="module")
def servers():
    return {}


@pytest.fixture
def one_slot(servers, cell, tmp_path_factory, binary, starter):
    """A service with one slot for all tests of a cell, at rest."""
    if servers.get("cell") != cell:
        if "server" in servers:
            servers["server"].close()
        home = tmp_path_factory.mktemp("options")
        servers.update(cell=cell, server=starter(home, cell, "-w", 1))
        servers["v1"] = Slow(servers["server"])
        servers["v1"].noting = servers["v1"].register(note)
    return servers["v1"]


@pytest.fixture(scope="module", autouse=True)
def closing(servers):
    yield
    if "server" in servers:
        servers["server"].close()


def begins(runs, word):
    return [float(words[2]) for words in runs.words() if words[0] == word and words[1] == "begin"]


def test_a_late_high_priority_overtakes_a_thousand_low_ones(one_slot, runs):
    v1 = one_slot
    blocker = v1.blocked(runs, 1.5)
    low = {"function_id": v1.noting, "args": [runs.name, "low"], "options": {"priority": -1}}
    v1.ok("POST", "/v1/tasks:batch", {"tasks": [low] * 1000}, status=201)
    high = v1.submit(v1.noting, runs.name, "high", options={"priority": 5})
    v1.ended(high)
    v1.ended(blocker)
    before = [words[0] for words in runs.words() if words[1] == "begin"]
    # What a worker holds in advance was given before: at most two for a slot whose tasks are this long.
    assert before.index("high") <= 3, before[:10]
    page = v1.ok("GET", "/v1/tasks?state=QUEUED&limit=1000")["tasks"]
    assert len(page) > 900, "it did not wait for them"
    assert eventually(lambda: not v1.ok("GET", "/v1/tasks?state=QUEUED&limit=1")["tasks"], 60)


def test_a_deadline_keeps_what_has_not_begun_from_beginning(one_slot, runs):
    v1 = one_slot
    blocker = v1.blocked(runs, 1.0)
    at = (datetime.now(timezone.utc) + timedelta(seconds=0.4)).isoformat()
    late = [v1.submit(v1.noting, runs.name, "late", expires_in=0.4), v1.submit(v1.noting, runs.name, "late", deadline=at)]
    soon = v1.submit(v1.noting, runs.name, "soon", 0.5, expires_in=30)
    for task_id in late:
        task = v1.ended(task_id)
        assert task["error"]["kind"] == "Expired" and task["timeline"]["started"] is None, task
        assert task["timeline"]["expires"] <= task["timeline"]["finished"]
    assert v1.value(soon) == "soon"
    v1.ended(blocker)
    assert not begins(runs, "late")
    over = v1.ended(v1.submit(v1.noting, runs.name, "over", deadline="2020-01-01T00:00:00Z"))
    assert over["error"]["kind"] == "Expired" and not begins(runs, "over")


def test_only_listed_exceptions_are_tried_again_and_waits_grow(one_slot, runs):
    v1 = one_slot
    failing = v1.register(fail_as, retries=3, retry_on=["OSError"], retry_delay=0.1, retry_backoff=3, retry_max_delay=0.5)
    task = v1.ended(v1.submit(failing, runs.name, "key"))
    assert task["error"]["type"] == "KeyError" and task["attempts"] == 1
    task = v1.ended(v1.submit(failing, runs.name, "reset"))
    assert task["error"]["type"] == "ConnectionResetError" and task["attempts"] == 4
    times = begins(runs, "reset")
    waits = [b - a for a, b in zip(times, times[1:])]
    for wait, least in zip(waits, (0.1, 0.3, 0.5)):
        assert least <= wait < least + 0.4 * PATIENCE, waits
    assert len(begins(runs, "key")) == 1


def test_a_retention_ends_with_record_and_result(one_slot, runs):
    v1 = one_slot
    task_id = v1.submit(v1.noting, runs.name, "kept", options={"retention": 1})
    assert v1.value(task_id) == "kept"
    assert eventually(lambda: v1.call("GET", f"/v1/tasks/{task_id}").status == 404, 5)
    assert v1.call("GET", f"/v1/tasks/{task_id}/result").status == 404


def test_labels_that_no_worker_has_are_told(one_slot, runs):
    v1 = one_slot
    assert eventually(lambda: v1.ok("GET", "/v1/workers")["workers"], 5)  # it may work before it is listed
    worker = v1.ok("GET", "/v1/workers")["workers"][0]
    assert any(label.startswith("python=3.") for label in worker["labels"])
    waits = v1.submit(v1.noting, runs.name, "gpu", options={"labels": ["gpu"]})
    elsewhere = v1.submit(v1.noting, runs.name, "other", options={"queue": "other"})
    fits = v1.submit(v1.noting, runs.name, "fits", options={"labels": worker["labels"]})
    assert v1.value(fits) == "fits"
    assert "--label gpu" in v1.task(waits)["waiting_for"] and v1.task(waits)["status"] == "QUEUED"
    assert "--queue other" in v1.task(elsewhere)["waiting_for"]
    for task_id in (waits, elsewhere):
        v1.ok("DELETE", f"/v1/tasks/{task_id}")
    assert not begins(runs, "gpu") and not begins(runs, "other")


def test_never_more_of_a_key_at_once_than_may_be(serve, runs):
    v1 = V1(serve("-w", 4))
    limited = v1.register(note, max_concurrent=2)
    ids = [v1.submit(limited, runs.name, "k", 0.15) for _ in range(8)]
    free = [v1.submit(v1.register(note), runs.name, "free") for _ in range(4)]
    for task_id in free:
        assert v1.value(task_id) == "free"
    done_free = max(begins(runs, "free"))
    for task_id in ids:
        assert v1.value(task_id) == "k"
    level = most = 0
    for words in sorted((w for w in runs.words() if w[0] == "k"), key=lambda w: float(w[2])):
        level += 1 if words[1] == "begin" else -1
        most = max(most, level)
    assert most == 2, runs.lines()
    assert done_free < max(begins(runs, "k")), "the others passed those that wait"


def test_not_before_is_never_early_nor_late_and_survives_a_restart(serve, runs, cell):
    server = serve("-w", 1)
    v1 = V1(server)
    noting = v1.register(note)
    v1.value(v1.submit(noting, runs.name, "warm"))
    begun = time.time()
    v1.value(v1.submit(noting, runs.name, "due", delay=0.7))
    late = begins(runs, "due")[0] - begun - 0.7
    assert 0 <= late < 0.1 * PATIENCE + 0.05, late
    if cell != "sqlite-local":
        return
    begun = time.time()
    task_id = v1.submit(noting, runs.name, "kept", delay=3)
    server.kill()
    server.start()
    v1.value(task_id)
    assert begins(runs, "kept")[0] - begun >= 3


def test_a_worker_takes_its_queue_and_what_asks_for_its_labels(serve, runs):
    v1 = V1(serve("-w", 1, "--queue", "special", "--label", "gpu"))
    noting = v1.register(note)
    elsewhere = v1.submit(noting, runs.name, "default")
    more = v1.submit(noting, runs.name, "more", options={"queue": "special", "labels": ["gpu", "large"]})
    taken = [v1.submit(noting, runs.name, "taken", options={"queue": "special", **asks}) for asks in ({}, {"labels": ["gpu"]})]
    assert [v1.value(task_id) for task_id in taken] == ["taken", "taken"]
    for task_id in (elsewhere, more):
        assert v1.task(task_id)["status"] == "QUEUED" and v1.task(task_id)["waiting_for"], v1.task(task_id)
    assert {words[0] for words in runs.words()} == {"taken"}
