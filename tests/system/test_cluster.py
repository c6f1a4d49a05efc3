"""Several of each on one Redis, and one of each killed: every task ends once, as MONITOR saw all that was written."""

import collections
import os
import re
import threading
import time

import pytest

import wire
from load import work
from program import Monitor
from server import eventually, parent

# The full number under MONITOR takes a third of the six minutes that CI has for all system tests.
NUMBERS = [int(os.environ.get("TREADLE_CLUSTER_TASKS", "4000")), pytest.param(20_000, marks=pytest.mark.slow)]


def seconds_of(key):
    """0, 5, 50 and 500 ms: 9.6 ms in the mean, most of it in the long ones, so that those are what a kill meets."""
    place = key % 100
    return 0.5 if place == 50 else 0.05 if place < 7 else 0.005 if place < 29 else 0


def submit(gateway, function_id, runs, keys, ids):
    """On one connection, 50 at a time; {task id: key} goes to `ids`."""
    with gateway.raw(timeout=60) as raw:
        for at in range(0, len(keys), 50):
            some = keys[at : at + 50]
            for key in some:
                body = {"function_id": function_id, "payload": wire.args(runs.name, key, seconds_of(key))}
                raw.write(wire.request("POST", "/execute_function", body))
            for key in some:
                reply = raw.read_reply()
                assert reply.status == 200, reply
                ids[reply.json["task_id"]] = key


def results(gateway, ids):
    """{task id: answer of /result}, on one connection."""
    found = {}
    with gateway.raw(timeout=60) as raw:
        for at in range(0, len(ids), 100):
            some = ids[at : at + 100]
            raw.write(b"".join(wire.request("GET", f"/result/{task_id}") for task_id in some))
            for task_id in some:
                found[task_id] = raw.read_reply().json
    return found


def workers(gateway):
    return gateway.get("/v1/workers").json["workers"]


def worker_of(gateway, pid):
    return next((worker for worker in workers(gateway) if worker["pid"] == pid), None)


def busy(worker):
    return worker if worker and worker["load"] > 0 and worker["current_task"] else None


WRITTEN = re.compile(r'\[0 lua\] "HSET" "([0-9a-f-]{36})" "task_status" "(\w+)"(.*)')
ADOPTED = re.compile(r'\[0 lua\] "HSET" "([0-9a-f-]{36})" "session" "([0-9a-f-]+)"')


class History:
    """What MONITOR saw of the tasks."""

    def __init__(self, lines):
        self.ended = collections.Counter()  # task id -> how often it was made terminal
        self.statuses = collections.Counter()
        self.started = collections.Counter()
        self.requeued = collections.Counter()
        self.adopted = collections.Counter()
        for line in lines:
            if found := WRITTEN.search(line):
                self._written(*found.groups())
            elif found := ADOPTED.search(line):
                self.adopted[found[1]] += 1

    def _written(self, task_id, status, rest):
        if status in wire.TERMINAL:
            self.ended[task_id] += 1
            self.statuses[status] += 1
        elif status == "RUNNING":
            self.started[task_id] += 1
        elif status == "QUEUED" and rest.startswith(' "token" ""'):
            self.requeued[task_id] += 1


def has_begun_a_long_one(runs, worker_pid):
    """Whether an executor below this worker began a task of 500 ms within the last 200 ms."""
    recent = [words for words in runs.words()[-200:] if float(words[1]) > time.monotonic() - 0.2]
    return any(seconds_of(int(key)) == 0.5 and is_below(int(pid), worker_pid) for key, _, pid in recent)


def is_below(pid, ancestor):
    while pid and pid > 1 and pid != ancestor:
        pid = parent(pid)
    return pid == ancestor


class Scene:
    """Two gateways, a push and a pull dispatcher, two workers for each."""

    def __init__(self, fleet, tmp_path):
        self.fleet = fleet
        self.gateways = [fleet.gateway(), fleet.gateway()]
        self.push, self.pull = fleet.dispatcher("push"), fleet.dispatcher("pull")
        self.push_workers = [fleet.worker(self.push, 4) for _ in range(2)]
        self.pull_workers = [fleet.worker(self.pull, 4) for _ in range(2)]
        self.monitor = Monitor(fleet.redis, tmp_path / "monitor.log")

    def kill_worker(self, runs):
        """With tasks under way, which /v1/workers tells. Returns its pid and what was told."""
        victim = self.push_workers[0]
        told = eventually(lambda: busy(worker_of(self.gateways[0], victim.pid)), 20)
        assert told, workers(self.gateways[0])
        pid = victim.pid
        assert eventually(lambda: has_begun_a_long_one(runs, pid), 30, every=0.005), "it runs none of 500 ms"
        victim.kill()
        return pid, told

    def kill_dispatcher(self, runs):
        """While a worker of it runs a task of 500 ms; and begin one in its place, on the same port."""
        port = self.pull.endpoint.rsplit(":", 1)[1]
        pids = [worker.pid for worker in self.pull_workers]
        assert eventually(lambda: any(has_begun_a_long_one(runs, pid) for pid in pids), 30, every=0.005)
        self.pull.kill()
        self.fleet.programs.remove(self.pull)
        argv = ("dispatcher", "-m", "pull", "-p", port, "--store", self.fleet.redis.url)
        self.fleet.begin("dispatcher", *argv).says("dispatching")


def check_metrics(metrics, history, number):
    """Every gateway tells the numbers of the whole service, and they are those of MONITOR."""
    assert metrics['treadle_tasks_finished_total{state="COMPLETED"}'] == number
    assert metrics['treadle_tasks_finished_total{state="FAILED"}'] == 0
    assert metrics["treadle_tasks_requeued_total"] == sum(history.requeued.values()) > 0
    assert metrics["treadle_tasks_adopted_total"] == sum(history.adopted.values()) > 0
    assert metrics["treadle_tasks_queued"] == 0 and metrics["treadle_tasks_running"] == 0


@pytest.mark.serial
@pytest.mark.parametrize("number", NUMBERS)
def test_every_task_ends_once_though_a_worker_and_a_dispatcher_die(fleet, tmp_path, runs, number):
    scene = Scene(fleet, tmp_path)
    first, second = scene.gateways
    function_id = first.register(work)
    ids = {}
    keys = list(range(number))
    submitters = [
        threading.Thread(target=submit, args=(gateway, function_id, runs, keys[n::2], ids))
        for n, gateway in enumerate(scene.gateways)
    ]
    begun = time.monotonic()
    for thread in submitters:
        thread.start()

    assert eventually(lambda: len(runs.lines()) > number / 5, 120, every=0.1), len(runs.lines())
    pid, told = scene.kill_worker(runs)
    assert set(told) >= {"load", "last_heartbeat", "current_task"} and told["state"] == "ready", told
    assert told["last_heartbeat"] and told["current_task"] in ids and told["load"] >= len(told["current_tasks"]) > 0
    assert eventually(lambda: len(runs.lines()) > number / 2, 120, every=0.1)
    scene.kill_dispatcher(runs)
    lost = eventually(lambda: (w := worker_of(second, pid)) and w["state"] == "lost" and w, 20)
    assert lost and lost["lost_why"], workers(second)

    for thread in submitters:
        thread.join()
    assert len(ids) == number
    held = lambda: int(fleet.redis.cli("hget", "treadle:meta", "held") or 0)  # noqa: E731
    queued = lambda: int(fleet.redis.cli("hget", "treadle:meta", "queued") or 0)  # noqa: E731
    assert eventually(lambda: queued() == 0 and held() == 0, 120, every=0.2), (queued(), held(), fleet.log())
    took = time.monotonic() - begun
    scene.monitor.close()

    answers = results(second, list(ids))
    assert collections.Counter(a["status"] for a in answers.values()) == {"COMPLETED": number}
    wrong = [i for i, answer in answers.items() if wire.untext(answer["result"]) != ids[i]]
    assert wrong == []
    history = History(scene.monitor.lines())
    assert set(history.ended) == set(ids), "all that was accepted ended"
    assert set(history.ended.values()) == {1}, "and once"
    ran = collections.Counter(int(words[0]) for words in runs.words())
    again = {ids[i] for i in history.requeued}
    assert set(ran) == set(keys)
    assert {key for key, count in ran.items() if count > 1} <= again, "only what was requeued ran twice"
    print(
        f"{number} tasks in {took:.1f} s; requeued {sum(history.requeued.values())}, "
        f"adopted {sum(history.adopted.values())}, ran twice {sum(count > 1 for count in ran.values())}"
    )
    assert sum(count > 1 for count in ran.values()) > 0, "the killed worker had attempts under way"
    assert sum(history.adopted.values()) > 0, "the new dispatcher took over attempts that still ran"
    completed = 'treadle_tasks_finished_total{state="COMPLETED"}'
    for gateway in scene.gateways:  # reads the totals once a second
        assert eventually(lambda g=gateway: g.metrics()[completed] == number, 5), gateway.metrics()[completed]
        check_metrics(gateway.metrics(), history, number)
    assert all(program.alive for program in fleet.programs if program is not scene.push_workers[0]), fleet.log()


def test_a_gateway_s_metrics_tell_of_the_whole_service(fleet, runs):
    gateway = fleet.gateway()
    fleet.worker(fleet.dispatcher("push"), 4)
    function_id = gateway.register(work)
    ids = [gateway.execute(function_id, runs.name, key, 0) for key in range(10)]
    assert [gateway.value(i) for i in ids] == list(range(10))

    def told():
        metrics = gateway.metrics()
        finished = metrics['treadle_tasks_finished_total{state="COMPLETED"}']
        return (finished, metrics["treadle_tasks_queued"], metrics["treadle_slots"], metrics["treadle_workers"])

    assert eventually(lambda: told() == (10, 0, 4, 1), 5), told()
