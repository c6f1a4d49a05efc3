"""An operator with redis-cli beside the running service: what he sees, deletes and breaks; the service goes on."""

import os
import re
import threading
import time

import pytest

import wire
from server import PATIENCE, eventually


def double(x):
    return x * 2


def sleep(seconds):
    import time

    time.sleep(seconds)
    return seconds


def hold(path, seconds):
    """Runs until the file is there."""
    import os
    import time

    end = time.monotonic() + seconds
    while not os.path.exists(path) and time.monotonic() < end:
        time.sleep(0.01)
    return os.path.exists(path)


@pytest.fixture(params=["push", "pull"])
def service(fleet, request):
    """One gateway, one dispatcher, one worker with 2 slots that has run a task."""
    gateway = fleet.gateway()
    fleet.worker(fleet.dispatcher(request.param), 2)
    assert gateway.run(double, 1) == 2
    yield gateway
    assert [program.name for program in fleet.programs if not program.alive] == [], fleet.log()


@pytest.fixture
def gate(tmp_path):
    """Held tasks run until `open()`."""

    class Gate:
        path = str(tmp_path / "gate")

        def open(self):
            with open(self.path, "w"):
                pass

    one = Gate()
    yield one
    one.open()


def running(service, gate, count=2):
    """Tasks that run now, and fill both slots."""
    function_id = service.register(hold)
    ids = [service.execute(function_id, gate.path, 60) for _ in range(count)]
    assert eventually(lambda: [service.status(i) for i in ids] == ["RUNNING"] * count, 10)
    return ids


def test_what_there_is(service, redis):
    """`dbsize`, `keys *`, `exists`, `hgetall` of the seed's report: ids are keys, hashes are readable text."""
    function_id = service.register(double, "double")
    task_id = service.execute(function_id, 21)
    assert service.value(task_id) == 42
    keys = redis.lines("keys", "*")
    assert function_id in keys and task_id in keys and redis.cli("dbsize") == str(len(keys))
    assert [redis.cli("exists", key) for key in (function_id, task_id, "nobody")] == ["1", "1", "0"]
    function = redis.hash(function_id)
    assert function["name"] == "double"
    assert wire.untext(function["function_body"])(4) == 8
    task = redis.hash(task_id)
    assert task["task_id"] == task_id and task["function_id"] == function_id
    assert task["task_status"] == "COMPLETED" and wire.untext(task["task_result"]) == 42
    assert "function_body" not in task, "the body is kept once, not in each task"
    for value in [*function.values(), *task.values()]:
        assert value.isprintable() or value.replace("\n", "").isascii(), value


def test_what_waits_and_what_runs(service, redis, gate):
    ids = running(service, gate)
    function_id = service.register(double)
    waiting = [service.execute(function_id, n) for n in range(5)]
    assert [redis.cli("hget", i, "task_status") for i in ids] == ["RUNNING"] * 2
    task = redis.hash(waiting[0])
    assert task["task_status"] == "QUEUED" and wire.untext(task["function_args"]) == ((0,), {})
    assert eventually(lambda: redis.cli("llen", "task_queue") == "5", 2)
    assert sorted(redis.lines("lrange", "task_queue", 0, -1)) == sorted(waiting)
    gate.open()
    assert [service.value(i) for i in waiting] == [0, 2, 4, 6, 8]
    assert redis.cli("llen", "task_queue") == "0"


def test_what_waits_stands_in_order(service, redis, gate):
    running(service, gate)
    function_id = service.register(double)
    waiting = [service.execute(function_id, n) for n in range(8)]
    assert eventually(lambda: redis.cli("llen", "task_queue") == "8", 2)
    assert [waiting.index(i) for i in redis.lines("lrange", "task_queue", 0, -1)] == list(range(8))


def test_del_of_a_finished_task_and_of_a_function(service, redis):
    function_id = service.register(double)
    task_id = service.execute(function_id, 4)
    assert service.value(task_id) == 8
    assert redis.cli("del", task_id) == "1" and redis.cli("exists", task_id) == "0"
    assert service.get(f"/status/{task_id}").status == 404 and service.get(f"/result/{task_id}").status == 404
    assert service.value(service.execute(function_id, 5)) == 10
    assert redis.cli("del", function_id) == "1" and redis.cli("exists", function_id) == "0"
    for _ in range(2):  # the gateway knew it: no cache may answer
        reply = service.post("/execute_function", {"function_id": function_id, "payload": wire.args(1)})
        assert reply.status == 404 and function_id in reply.detail, reply
    assert service.run(double, 6) == 12


def test_del_of_a_queued_task(service, redis, gate, runs):
    """It is passed over: it never runs, and those behind it do."""

    def note(runs, n):
        with open(runs, "a") as f:
            f.write(f"{n}\n")
        return n

    running(service, gate)
    function_id = service.register(note)
    waiting = [service.execute(function_id, runs.name, n) for n in range(4)]
    assert eventually(lambda: redis.cli("llen", "task_queue") == "4", 2), "none is prefetched any more"
    assert redis.cli("del", waiting[1]) == "1"
    assert service.get(f"/status/{waiting[1]}").status == 404
    gate.open()
    assert [service.value(waiting[n]) for n in (0, 2, 3)] == [0, 2, 3]
    assert sorted(runs.lines()) == ["0", "2", "3"]
    assert redis.cli("exists", waiting[1]) == "0"


def test_del_of_a_running_task(service, redis, gate):
    """Its outcome finds no task; its slot is free again, and the deleted task does not come back."""
    first, second = running(service, gate)
    assert redis.cli("del", first) == "1"
    assert service.get(f"/status/{first}").status == 404
    gate.open()
    assert service.value(second) is True
    function_id = service.register(sleep)
    begun = time.monotonic()
    assert [service.value(i) for i in [service.execute(function_id, 0.5) for _ in range(4)]] == [0.5] * 4
    assert time.monotonic() - begun < 1.8 * PATIENCE, "both slots work"
    assert redis.cli("exists", first) == "0" and service.get(f"/result/{first}").status == 404


def test_flushall_under_load(service, redis, tmp_path):
    """Twice, with tasks queued and running: what was there is 404; what comes after it is done as ever."""
    stop, refused, done = threading.Event(), [], []

    def client():
        function_id = None
        while not stop.is_set():
            try:
                function_id = function_id or service.register(double)
                task_id = service.execute(function_id, 3)
                if service.value(task_id, 10) == 6:
                    done.append(task_id)
            except AssertionError as error:
                assert "<Reply 404" in str(error), error
                refused.append(task_id)
                function_id = None

    threads = [threading.Thread(target=client) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(2):
            many = len(done)
            assert eventually(lambda: len(done) > many + 50, 20)
            slow = service.execute(service.register(sleep), 0.3)
            assert redis.cli("flushall") == "OK"
            assert eventually(lambda: service.get(f"/status/{slow}").status == 404, 2)
    finally:
        many = len(done)
        eventually(lambda: len(done) > many + 50, 20)
        stop.set()
        for thread in threads:
            thread.join()
    assert len(refused) >= 2, "the flush struck clients"
    assert len(done) > many + 50, "after it the service goes on"
    assert service.run(double, 8) == 16
    assert redis.cli("exists", slow) == "0", "a task that ran during the flush does not come back"


def test_script_flush_and_killed_subscriptions(service, redis):
    """Under load: nobody sees an error, and nobody waits longer than the poll."""
    function_id = service.register(double)
    killed = 0
    for n in range(30):
        if n % 10 == 4:
            assert redis.cli("script", "flush") == "OK"
        if n % 10 == 8:
            killed += int(redis.cli("client", "kill", "type", "pubsub"))
        begun = time.monotonic()
        assert service.value(service.execute(function_id, n)) == 2 * n
        assert time.monotonic() - begun < 1.5 * PATIENCE
    assert killed >= 3
    assert int(redis.cli("client", "kill", "type", "normal", "skipme", "yes")) >= 2
    assert eventually(lambda: works(service, function_id), 3), "both have connected again"


def works(service, function_id):
    reply = service.post("/execute_function", {"function_id": function_id, "payload": wire.args(50)})
    return reply.status == 200 and service.value(reply.json["task_id"]) == 100


def four_calls(service, function_id, task_id):
    body = {"name": "f", "payload": wire.text(wire.as_main(double))}
    return [
        service.post("/register_function", body),
        service.post("/execute_function", {"function_id": function_id, "payload": wire.args(1)}),
        service.get(f"/status/{task_id}"),
        service.get(f"/result/{task_id}"),
    ]


@pytest.mark.sleepy
def test_redis_is_stopped_and_started(service, redis, gate, tmp_path):
    """With AOF: 502 while it is away, work within 1 s when it is back, and nothing that was accepted is lost."""
    assert redis.cli("config", "set", "appendonly", "yes") == "OK"
    assert redis.cli("config", "set", "appendfsync", "always") == "OK"
    assert eventually(lambda: "aof_rewrite_in_progress:0" in redis.cli("info", "persistence"), 10)
    function_id = service.register(double)
    finished = service.execute(function_id, 1)
    assert service.value(finished) == 2
    in_flight = running(service, gate)
    waiting = [service.execute(function_id, n) for n in range(10)]
    redis.kill()

    for reply in four_calls(service, function_id, finished):
        assert reply.status == 502 and "Redis" in reply.detail, reply
    begun = time.monotonic()
    four_calls(service, function_id, finished)
    assert time.monotonic() - begun < 2 * PATIENCE, "it is said at once, not after a time-out"
    gate.open()  # they end while nobody can be told
    time.sleep(2)

    redis.program.argv += ["--appendonly", "yes", "--appendfsync", "always"]
    redis.start()
    begun = time.monotonic()
    assert eventually(lambda: service.get(f"/status/{finished}").status == 200, 5)
    assert time.monotonic() - begun < 1 * PATIENCE
    assert service.value(finished) == 2
    assert [service.value(i) for i in in_flight] == [True, True]
    assert [service.value(i) for i in waiting] == [2 * n for n in range(10)]
    assert service.value(service.execute(function_id, 30)) == 60


def test_a_stopped_redis_is_a_502_in_time(service, redis):
    """SIGSTOP: it takes connections and says nothing. Calls end with 502 and do not hang; after SIGCONT all is well."""
    import signal

    function_id = service.register(double)
    task_id = service.execute(function_id, 1)
    assert service.value(task_id) == 2
    os.kill(redis.pid, signal.SIGSTOP)
    try:
        begun = time.monotonic()
        reply = service.get(f"/status/{task_id}")
        assert reply.status == 502 and "Redis" in reply.detail, reply
        assert time.monotonic() - begun < 12 * PATIENCE
    finally:
        os.kill(redis.pid, signal.SIGCONT)
    assert eventually(lambda: service.get(f"/status/{task_id}").status == 200, 5)
    assert service.value(service.execute(function_id, 4)) == 8


def test_maxmemory(service, redis, gate):
    """Full: a submit is 500 and says why; reads work, and what runs or waits ends. Room again: work as before."""
    function_id = service.register(double)
    in_flight = running(service, gate)
    waiting = [service.execute(function_id, n) for n in range(5)]
    assert redis.cli("config", "set", "maxmemory", "1mb") == "OK"
    assert int(re.search(r"used_memory:(\d+)", redis.cli("info", "memory"))[1]) > 1 << 20
    for path, body in (
        ("/execute_function", {"function_id": function_id, "payload": wire.args(1)}),
        ("/register_function", {"name": "f", "payload": wire.text(wire.as_main(double))}),
    ):
        reply = service.post(path, body)
        assert reply.status == 500 and "memory" in reply.detail, reply
    assert [service.status(i) for i in in_flight + waiting] == ["RUNNING"] * 2 + ["QUEUED"] * 5
    gate.open()
    assert [service.value(i) for i in in_flight + waiting] == [True, True, 0, 2, 4, 6, 8]
    assert redis.cli("config", "set", "maxmemory", "0") == "OK"
    assert service.value(service.execute(function_id, 9)) == 18


def test_a_foreign_gateway(service, redis):
    """The seed's own gateway writes its hash and pushes the id: the task runs."""
    function_id = service.register(double)
    for n, (channel, word) in enumerate((("rpush", "task_queue"), ("publish", "tasks"))):
        task_id = f"71ed469b-bc52-45d5-89ae-b21aa40760c{n}"
        fields = {
            "task_id": task_id,
            "function_id": function_id,
            "function_args": wire.args(n + 5),
            "task_status": "QUEUED",
        }
        redis.cli("hset", task_id, *(word for pair in fields.items() for word in pair))
        redis.cli(channel, word, task_id)
        assert service.value(task_id, 10) == 2 * (n + 5)
        assert redis.cli("hget", task_id, "task_status") == "COMPLETED"
