"""Redis on several servers: partitions, Sentinel failover, a cluster that loses a master, replicas that are waited for.

A failover may undo what the dead master had acknowledged and not yet sent on: what is lost is counted and printed, and
held against the bound that the documents name. Nothing else may be lost, and the service goes on by itself.
"""

import itertools
import os
import re
import signal
import threading
import time

import pytest

import wire
from fleet import Fleet, running
from program import folder
from redis_topology import ManyRedis, RedisCluster, SentinelGroup
from server import PATIENCE, eventually, run

GOES_ON = 15  # s: node timeout 1 s, election, promotion, and our own way to the new master
REPLICA_AGAIN = 45  # s more: Sentinels leave a master that comes back alone for 10 s and more, then it has to catch up
LAG = 1.0  # s before the death of a master: what was acknowledged earlier is with the replica


def double(n):
    return 2 * n


def submit(gateway, function_id, key):
    """The reply, whatever it is."""
    return gateway.post("/execute_function", {"function_id": function_id, "payload": wire.args(key)})


def registered(gateway):
    """The id of double(), said again while replicas are slower than the 100 ms that they are waited for."""
    body = {"name": "double", "payload": wire.text(wire.as_main(double))}
    replies = []

    def taken():
        replies.append(gateway.post("/register_function", body))
        return replies[-1].status == 200

    assert eventually(taken, 20), replies[-1]
    return replies[-1].json["function_id"]


class Load(threading.Thread):
    """Submits one task after the other and notes each acknowledgement with its time."""

    def __init__(self, gateway, function_id):
        super().__init__(daemon=True)
        self.gateway, self.function_id = gateway, function_id
        self.acked = {}  # task id: (key, when)
        self.refused = []  # (when, status)
        self._ended = threading.Event()

    def run(self):
        for key in itertools.count():
            if self._ended.wait(0.002):
                return
            try:
                reply = submit(self.gateway, self.function_id, key)
            except Exception as error:  # noqa: BLE001
                self.refused.append((time.monotonic(), repr(error)))
                continue
            if reply.status == 200:
                self.acked[reply.json["task_id"]] = (key, time.monotonic())
            else:
                self.refused.append((time.monotonic(), reply.status))

    def stop(self):
        self._ended.set()
        self.join(60 * PATIENCE)
        assert not self.is_alive()


@pytest.fixture
def topology(tmp_path):
    """Starts a topology and a fleet on it; both are ended with the test."""
    ended = []

    def start(kind, **options):
        redis = kind(folder(tmp_path, kind.__name__), **options)
        ended.append(redis)
        redis.start()
        fleet = Fleet(folder(tmp_path, f"fleet{len(ended)}"), redis)
        ended.append(fleet)
        return redis, fleet

    yield start
    for one in reversed(ended):
        one.close()


def outcome(gateway, acked, seconds=60):
    """(tasks that are gone, tasks with a wrong or no result), once all others have ended."""
    lost, wrong = [], []
    deadline = time.monotonic() + seconds * PATIENCE
    for task_id, (key, when) in acked.items():
        while True:
            reply = gateway.get(f"/v1/tasks/{task_id}")
            if reply.status == 404:
                lost.append((task_id, when))
                break
            if reply.status == 200 and reply.json["status"] in ("COMPLETED", "FAILED"):
                if reply.json["status"] != "COMPLETED" or gateway.value(task_id) != 2 * key:
                    wrong.append((task_id, reply.json))
                break
            if time.monotonic() > deadline:
                wrong.append((task_id, reply.json))
                break
            time.sleep(0.02)
    return lost, wrong


def ends(gateway, function_id, key):
    """A task is taken and run."""
    try:
        reply = submit(gateway, function_id, key)
        if reply.status != 200:
            return False
        task_id = reply.json["task_id"]
        return eventually(lambda: gateway.get(f"/v1/tasks/{task_id}").json.get("status") == "COMPLETED", 2)
    except Exception:  # noqa: BLE001
        return False


def run_through_failover(redis, fleet, kill, *flags, revive=False):
    """Load, the death of a master, load. What was acknowledged, what became of it, how long nothing went."""
    gateway = fleet.gateway(*flags)
    fleet.dispatcher("local", "-w", 2, *flags)
    function_id = registered(gateway)
    assert eventually(lambda: ends(gateway, function_id, 1), 10), fleet.log()
    load = Load(gateway, function_id)
    load.start()
    try:
        assert eventually(lambda: len(load.acked) > 100, 20), fleet.log()
        dead = kill()
        killed = time.monotonic()
        assert redis.failed_over(dead), "the fault did not strike: nobody took over"
        if revive:
            dead.start()
        assert eventually(lambda: ends(gateway, function_id, 2), GOES_ON + (REPLICA_AGAIN if revive else 0)), fleet.log()
        back = time.monotonic() - killed
        after = len(load.acked)
        assert eventually(lambda: len(load.acked) > after + 20, 30), fleet.log()
    finally:
        load.stop()
    assert load.refused, "the death of the master was not noticed"
    lost, wrong = outcome(gateway, load.acked)
    early = [task_id for task_id, when in lost if when < killed - LAG]
    print(
        f"acknowledged {len(load.acked)}, refused meanwhile {len(load.refused)}, lost {len(lost)} "
        f"(of them {len(early)} over {LAG} s before the death), goes on after {back:.1f} s"
    )
    assert not wrong, wrong[:3]
    assert not early
    return lost, back


# ---- partitions ----


def test_a_store_in_partitions_runs_everything_and_says_its_number(topology, tmp_path):
    redis, fleet = topology(ManyRedis, count=2)
    gateway = fleet.gateway("--partitions", 8)
    fleet.dispatcher("local", "-w", 2)  # takes the number that is there
    assert "8 partitions" in fleet.programs[1].log()
    function_id = registered(gateway)
    ids = {gateway.execute(function_id, n): n for n in range(200)}
    assert all(gateway.value(task_id) == 2 * n for task_id, n in ids.items())
    tasks = [int(node.cli("eval", COUNT_TASKS, 0)) for node in redis.nodes]
    assert sum(tasks) == 200 and min(tasks) > 50, tasks
    listed, cursor = [], ""
    while True:
        page = gateway.get(f"/v1/tasks?limit=30&cursor={cursor}").json
        listed += [task["task_id"] for task in page["tasks"]]
        cursor = page.get("next_cursor")
        if not cursor:
            break
    assert sorted(listed) == sorted(ids) and len(set(listed)) == 200
    done = 'treadle_tasks_finished_total{state="COMPLETED"}'
    assert eventually(lambda: gateway.metrics()[done] == 200, 5), gateway.metrics()[done]


COUNT_TASKS = "local n=0 for _,k in ipairs(redis.call('KEYS','*:treadle:tasks')) do n=n+redis.call('ZCARD',k) end return n"


def test_another_number_of_partitions_is_refused_in_one_sentence(topology, tmp_path):
    redis, fleet = topology(ManyRedis, count=1)
    fleet.gateway("--partitions", 4)
    code, _, said = run("gateway", "--port", 0, "--store", redis.url, "--partitions", 8, cwd=tmp_path)
    assert code == 2
    assert "holds a store of 4 partitions" in said and "asks for 8 partitions" in said, said
    code, _, said = run("gateway", "--port", 0, "--store", redis.url, "--partitions", 3, cwd=tmp_path)
    assert code == 2 and "1, 2, 4, 8" in said, said


def test_servers_named_in_another_order_are_refused(topology, tmp_path):
    redis, fleet = topology(ManyRedis, count=2)
    fleet.gateway()
    places = ",".join(f"127.0.0.1:{node.port}" for node in reversed(redis.nodes))
    code, _, said = run("gateway", "--port", 0, "--store", f"redis://{places}/0", cwd=tmp_path)
    assert code == 2
    assert "in the same order as before" in said, said


def test_a_partition_that_is_away_stops_only_its_own_tasks(topology):
    redis, fleet = topology(ManyRedis, count=2)
    gateway = fleet.gateway("--partitions", 2)
    fleet.dispatcher("local", "-w", 2)
    function_id = registered(gateway)
    assert ends(gateway, function_id, 1)
    redis.nodes[1].kill()
    statuses, ended = [], 0
    deadline = time.monotonic() + 20 * PATIENCE
    while (ended < 20 or statuses.count(200) < 20) and time.monotonic() < deadline:
        reply = submit(gateway, function_id, 3)
        statuses.append(reply.status)
        if reply.status == 200:
            ended += bool(eventually(lambda: gateway.get(f"/v1/tasks/{reply.json['task_id']}").json["status"] == "COMPLETED", 5))
    assert ended >= 20 and statuses.count(502) > 0, (ended, statuses)
    redis.nodes[1].start()
    assert eventually(lambda: all(ends(gateway, function_id, n) for n in range(8)), 10), fleet.log()


# ---- Sentinel, cluster ----


@pytest.mark.sleepy
def test_the_service_goes_on_after_a_sentinel_failover(topology):
    redis, fleet = topology(SentinelGroup, replicas=1)
    run_through_failover(redis, fleet, redis.kill_master)


@pytest.mark.sleepy
def test_what_a_replica_has_acknowledged_is_not_lost(topology):
    redis, fleet = topology(SentinelGroup, replicas=2)
    lost, _ = run_through_failover(redis, fleet, redis.kill_master, "--redis-wait", 2, revive=True)
    assert lost == [], "both replicas had it, so the new master has it"


def test_without_the_replicas_nothing_is_acknowledged(topology):
    redis, fleet = topology(SentinelGroup, replicas=1)
    gateway = fleet.gateway("--redis-wait", 1)
    function_id = registered(gateway)
    assert eventually(lambda: submit(gateway, function_id, 1).status == 200, 20)
    redis.nodes[1].kill()
    reply = submit(gateway, function_id, 2)
    assert reply.status == 502 and "0 of 1 replicas" in reply.body.decode(), reply
    again = gateway.post("/v1/tasks", {"function_id": function_id, "args": [2]})
    assert again.status == 503 and "0 of 1 replicas" in again.body.decode(), again


@pytest.mark.sleepy
def test_the_service_goes_on_when_a_cluster_loses_a_master(topology):
    redis, fleet = topology(RedisCluster)
    run_through_failover(redis, fleet, redis.kill_master)


# ---- a dispatcher that comes back; what a process is doing ----


@pytest.mark.parametrize("named", [True, False], ids=["with its name", "without"])
def test_a_dispatcher_started_again_by_its_name_takes_over_at_once(fleet, tmp_path, named):
    gateway = fleet.gateway()
    flags = ("-w", 1, *(("--name", "d1") if named else ()))
    first = fleet.dispatcher("local", *flags)
    task_id = running(gateway, tmp_path / "ran", 60)
    first.kill()
    begun = time.monotonic()
    second = fleet.dispatcher("local", *flags)
    assert eventually(lambda: gateway.status(task_id) == "COMPLETED", 30), fleet.log()
    took = time.monotonic() - begun
    assert second.alive
    assert took < 5 * PATIENCE if named else took > 8, f"{took:.1f} s"


def test_usr1_tells_what_a_process_has_on_its_hands(fleet, tmp_path):
    gateway = fleet.gateway()
    dispatcher = fleet.dispatcher("push")
    worker = fleet.worker(dispatcher, 2)
    task_id = running(gateway, tmp_path / "ran", 60)
    for program in (dispatcher, worker):
        os.kill(program.pid, signal.SIGUSR1)

    def figures_of_gateway():  # as of its last look at Redis, which is a second old at most
        os.kill(gateway.program.pid, signal.SIGUSR1)
        return re.search(r"state\.queue queued=0 .* claimed=0 running=1\b", gateway.log())

    assert eventually(figures_of_gateway, 10, every=0.3), gateway.log()
    assert "role=gateway" in gateway.program.says(r"state\.process .*")[0]
    attempts = dispatcher.says(r"state\.attempts .*")[0]
    assert "held=1 " in attempts and "parked_requests=0" in attempts
    assert f"tasks={task_id}" in dispatcher.says(r"state\.worker .*")[0]
    assert "slots=2 free=1 attempts=1 running=1" in dispatcher.log()
    assert "slots_used=1" in worker.says(r"state\.supervisor .*registered=yes .*")[0]
    assert worker.says(r"state\.limits .*worker_lease_ms=10000")
    assert all(program.alive for program in fleet.programs)
