"""What docs/guarantees.md promises and one test can measure; the faults under load are rows of ./dev chaos."""

import pathlib
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time

import pytest

import wire
from history import checker
from proxy import Proxy
from server import PATIENCE, ROOT, Server, eventually
from v1 import V1

LEASE = 10  # seconds: worker_lease of docs/decisions
AT_ONCE = 50  # threads


def long_at_first(runs, key, seconds):
    """Notes its start; takes its time only if it is the first."""
    import os
    import time

    fd = os.open(runs, os.O_WRONLY | os.O_APPEND)
    os.write(fd, f"{key} {time.monotonic()}\n".encode())
    os.close(fd)
    if sum(line.split()[0] == str(key) for line in open(runs)) == 1:
        time.sleep(seconds)
    return key


def p95(values):
    return sorted(values)[int(len(values) * 0.95 + 0.5) - 1]


# -- a worker dies ---------------------------------------------------------------------------------------------------


class Victims:
    """Kills workers in the middle of tasks, one after the other, and measures when these run again elsewhere."""

    def __init__(self, fleet, runs, mode, hidden):
        self.fleet, self.runs = fleet, runs
        self.gateway, self.dispatcher = fleet.gateway(), fleet.dispatcher(mode)
        self.function_id = self.gateway.register(long_at_first)
        self.hidden = hidden  # whether the dispatcher's connection outlives the worker
        self.keys = iter(range(1000))

    def kill_one(self, slots):
        """Seconds from its death to the second start of each of its tasks."""
        real, proxy = self.dispatcher.endpoint, None
        if self.hidden:
            proxy = Proxy(int(real.rsplit(":", 1)[1]))
            self.dispatcher.endpoint = f"tcp://127.0.0.1:{proxy.port}"
        victim = self.fleet.worker(self.dispatcher, slots)
        self.dispatcher.endpoint = real
        keys = [next(self.keys) for _ in range(slots)]
        ids = [self.gateway.execute(self.function_id, self.runs.name, key, 300) for key in keys]
        assert eventually(lambda: all(self.runs.count(key) == 1 for key in keys), 20), self.fleet.log()
        assert eventually(lambda: all(self.gateway.status(i) == "RUNNING" for i in ids), 20)
        heir = self.fleet.worker(self.dispatcher, slots)
        if proxy:
            proxy.hole = True
            time.sleep(0.3)  # its pumps stand still now, and pass on no end of a connection
        died = time.monotonic()
        victim.kill()
        assert [self.gateway.value(i, 60) for i in ids] == keys
        again = {int(key): float(at) for key, at in self.runs.words() if int(key) in keys}
        assert all(self.runs.count(key) == 2 for key in keys)
        assert heir.stop(signal.SIGTERM) == 0
        if proxy:
            proxy.close()
        return [again[key] - died for key in keys]


@pytest.mark.serial
@pytest.mark.parametrize("mode", ["push", "pull"])
def test_tasks_of_a_killed_worker_run_again_within_2_seconds(fleet, runs, mode):
    """Its connection drops. A busy machine may spoil one series of kills, not three."""
    victims = Victims(fleet, runs, mode, hidden=False)
    series = []
    for _ in range(3):
        series.append([took for _ in range(5) for took in victims.kill_one(4)])
        print(f"{mode}: p95 {p95(series[-1]):.3f} s of {len(series[-1])}, max {max(series[-1]):.3f} s")
        if p95(series[-1]) < 2 * PATIENCE:
            break
    assert min(p95(one) for one in series) < 2 * PATIENCE, series


@pytest.mark.sleepy
@pytest.mark.serial
@pytest.mark.parametrize("mode", ["push", "pull"])
def test_tasks_of_a_worker_that_vanished_run_again_within_its_lease(fleet, runs, mode):
    """It is killed behind a partition: its connection stays, and only its silence tells."""
    victims = Victims(fleet, runs, mode, hidden=True)
    series = []
    for _ in range(3):
        series.append(victims.kill_one(8))
        print(f"{mode}: p95 {p95(series[-1]):.3f} s of {len(series[-1])}, least {min(series[-1]):.3f} s")
        if p95(series[-1]) < (LEASE + 1) * PATIENCE:
            break
    assert min(p95(one) for one in series) < (LEASE + 1) * PATIENCE, series
    assert min(series[-1]) > 5, "it was not its silence that told"


# -- everything dies -------------------------------------------------------------------------------------------------


def note(runs, n):
    import os
    import time

    fd = os.open(runs, os.O_WRONLY | os.O_APPEND)
    os.write(fd, f"{n} {time.monotonic()}\n".encode())
    os.close(fd)
    return n


QUEUED = 100_000


@pytest.mark.serial
def test_100_000_queued_tasks_survive_kill_9(tmp_path, binary, runs):
    """Of everything; the first of them runs within 2 s of the restart."""
    (tmp_path / "home").mkdir()
    server = Server(tmp_path / "home", "-w", 2)
    try:
        v1 = V1(server)
        blocker, noted = v1.register(long_at_first), v1.register(note)
        held = [v1.submit(blocker, runs.name, f"held{n}", 600) for n in range(2)]
        assert eventually(lambda: all(server.status(i) == "RUNNING" for i in held), 20)
        ids = []
        for at in range(0, QUEUED, 10_000):
            calls = [{"function_id": noted, "args": [runs.name, n]} for n in range(at, at + 10_000)]
            answer = v1.server.call("POST", "/v1/tasks:batch", {"tasks": calls}, timeout=120)
            assert answer.status == 201, answer
            ids += [one["task_id"] for one in answer.json["tasks"]]
        assert len(set(ids)) == QUEUED
        server.kill()
        server.assert_gone(2)
        assert len(runs.lines()) == 2, "none of the 100,000 has run"

        took = []
        while not took or (len(took) < 3 and took[-1] >= 2 * PATIENCE):  # a busy machine may spoil one start, not three
            server.kill()
            took.append(first_run_after_start(server, runs))
            print(f"first of {QUEUED} queued tasks ran {took[-1]:.3f} s after the restart")
        assert min(took) < 2 * PATIENCE, took
        assert eventually(lambda: finished(server) >= 2000, 120), server.metrics()
        assert tasks_in(server.data / "treadle.db") == QUEUED + 2
        assert {server.value(i) for i in held} == {"held0", "held1"}
        for n in (0, 1, 999):
            assert server.value(ids[n]) == n
        assert server.status(ids[-1]) in wire.WORDS
    finally:
        server.close()


def first_run_after_start(server, runs):
    before = len(runs.lines())
    server.start()

    def first():
        return min((float(at) for key, at in runs.words()[before:] if key.isdigit()), default=None)

    assert eventually(first, 60), server.log()[-2000:]
    return first() - server.exec_time


def finished(server):
    return server.metrics()['treadle_tasks_finished_total{state="COMPLETED"}']


def tasks_in(database):
    with sqlite3.connect(database) as db:
        return db.execute("SELECT count(*) FROM tasks").fetchone()[0]


# -- at most once ----------------------------------------------------------------------------------------------------


@pytest.mark.cells("sqlite-local", "sqlite-push", "sqlite-pull", "redis-push", "redis-pull")
def test_an_at_most_once_task_does_not_start_again(serve, cell, runs):
    """kill -9 of all that runs it: it is FAILED WorkerLost, and has started once."""
    service = serve("-w", 2)
    v1 = V1(service)
    function_id = v1.register(long_at_first, delivery="at_most_once")
    ids = [v1.submit(function_id, runs.name, n, 300) for n in range(2)]
    assert eventually(lambda: len(runs.lines()) == 2, 20)
    if cell == "sqlite-local":
        service.kill()
        service.assert_gone()
        service.start()
    else:
        service.worker.kill()
        service.worker.start().says("worker.registered")
    for task_id in ids:
        task = v1.ended(task_id, 60)
        assert task["status"] == "FAILED" and task["error"]["kind"] == "WorkerLost", task
    other = v1.submit(function_id, runs.name, 9, 0)
    assert v1.value(other) == 9
    assert sorted(key for key, _ in runs.words()) == ["0", "1", "9"]


# -- one idempotency key ---------------------------------------------------------------------------------------------


def all_at_once(ports, body, key):
    """The answers to the same request from 50 threads, on connections that wait for each other."""
    gate = threading.Barrier(AT_ONCE)
    replies = [None] * AT_ONCE

    def one(n):
        gate.wait()
        headers = {"Idempotency-Key": key}
        replies[n] = wire.call(ports[n % len(ports)], "POST", "/v1/tasks", body, headers, timeout=60 * PATIENCE)

    threads = [threading.Thread(target=one, args=(n,)) for n in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return replies


def check_one_task_of_fifty(v1, ports, runs, key):
    function_id = v1.register(note)
    body = {"function_id": function_id, "args": [runs.name, key]}
    replies = all_at_once(ports, body, f"key {key}")
    assert [reply.status for reply in replies] == [201] * AT_ONCE
    ids = {reply.json["task_id"] for reply in replies}
    assert len(ids) == 1, ids
    answers = {tuple(sorted((k, v) for k, v in reply.json.items() if k != "status")) for reply in replies}
    assert len(answers) == 1, answers  # `status` is that of the moment
    replayed = [reply.headers["Idempotency-Replayed"] for reply in replies]
    assert replayed.count(None) == 1 and replayed.count("true") == AT_ONCE - 1, replayed
    assert v1.value(ids.pop()) == key
    other = {**body, "args": [runs.name, key + 1000]}
    v1.problem(409, "conflict", "Idempotency-Key", "POST", "/v1/tasks", other, Idempotency_Key=f"key {key}")
    refused = all_at_once(ports, other, f"key {key}")
    assert {reply.status for reply in refused} == {409}
    assert runs.count(key) == 1 and runs.count(key + 1000) == 0


@pytest.mark.cells("sqlite-local", "redis-push")
def test_one_key_from_50_threads_at_once_is_one_task(server, runs):
    v1 = V1(server)
    for key in range(5):
        check_one_task_of_fifty(v1, [server.port], runs, key)


def test_one_key_at_two_gateways_at_once_is_one_task(fleet, runs):
    first, second = fleet.gateway(), fleet.gateway()
    fleet.worker(fleet.dispatcher("pull"), 2)
    for key in range(5):
        check_one_task_of_fifty(V1(first), [first.port, second.port], runs, key)


# -- the page --------------------------------------------------------------------------------------------------------


def test_every_claim_names_a_proof_that_exists():
    """Rows of ./dev chaos, rules of the checker, files and tests."""
    page = (ROOT / "docs" / "guarantees.md").read_text()
    listed = subprocess.run(
        [sys.executable, ROOT / "tests" / "chaos" / "campaign.py", "--list"], capture_output=True, text=True, check=True
    )
    rows = {line[:34].strip() for line in listed.stdout.splitlines() if not line.startswith(" ")}
    named = set()
    for group in re.findall(r"rows? ((?:`[^`]+`(?:, | and )?)+)", page):
        named |= {name for name in re.findall(r"`([^`]+)`", group) if not name.startswith(("tests/", "test_"))}
    assert len(named) > 15 and named <= rows, named - rows
    rules = {word for group in re.findall(r"rules? ((?:`\w+`(?:, )?)+)", page) for word in re.findall(r"`(\w+)`", group)}
    assert rules and rules <= {rule.__name__ for rule in checker.RULES}, rules
    tests = set(re.findall(r"`(test_\w+)`", page))
    here = pathlib.Path(__file__).read_text()
    assert len(tests) >= 5 and all(f"def {name}(" in here for name in tests), tests
    assert all((ROOT / path).exists() for path in re.findall(r"`(tests/\S+\.py)`", page))
