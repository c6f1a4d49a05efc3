"""Data of an older version: what `tests/upgrade/make.py` puts into a store, and what a later version must find there."""

import base64
import hashlib
import json
import pathlib
import sqlite3
import subprocess
import tarfile
import time

import wire
from server import ROOT, eventually

FILES = ROOT / "tests" / "upgrade"
BIG = 300_000  # over 256 KiB: on SQLite in a file of its own, on Redis under a key of its own

# As text: any Python can run them.
HOLD = "def hold(path):\n    import os, time\n    while os.path.exists(path):\n        time.sleep(0.02)\n    return 'let go'\n"
TRIPLE = "def triple(x):\n    return 3 * x\n"
FAIL = "def fail():\n    print('last words')\n    raise ValueError('no luck')\n"
TEXT = "def text(n):\n    return 'x' * n\n"
ADD = b"\x80\x04\x8c\x09_operator\x94\x8c\x03add\x94\x93\x94."  # operator.add, by reference


def register(client, name, source, **options):
    reply = client.post("/v1/functions", {"name": name, "source": source, "options": options})
    assert reply.status == 201, reply
    return reply.json["function_id"]


def submit(client, function, *args, key=None, **more):
    body = {"function_id": function, "args": list(args), **more}
    reply = client.post("/v1/tasks", body, headers={"Idempotency-Key": key} if key else {})
    assert reply.status == 201, reply
    return reply.json["task_id"]


def ended(client, task, seconds=30):
    """(status, value or text of the failure)"""
    assert eventually(lambda: client.status(task) in wire.TERMINAL, seconds), (task, client.get(f"/v1/tasks/{task}"))
    status, result = client.finished(task)
    value = wire.untext(result)
    if isinstance(value, str) and len(value) > 1000:
        value = f"{len(value)} characters, all {set(value)}"
    return [status, value if status == "COMPLETED" else f"{value.error_message}"]


def fill(client, path):
    """Functions and tasks in each state, on a service with one slot, which is held while `path` exists.

    Returns what is to be found: `ended` {task: [status, value]}, `waiting` {task: [status, value] once it was run},
    `delayed`, `key` with its call and task, and the ids of functions.
    """
    add = client.register(ADD, "add")
    triple = register(client, "triple", "def triple(x):\n    return x\n")
    newest = register(client, "triple", TRIPLE, retries=1, time_limit=60)
    gone = register(client, "gone", TRIPLE)
    tasks = [client.execute(add, 40, 2), submit(client, newest, 14, group="g")]
    tasks += [submit(client, register(client, "fail", FAIL)), submit(client, register(client, "text", TEXT), BIG)]
    keyed = {"function_id": newest, "args": [5]}
    key = submit(client, newest, 5, key="order-17")
    done = {task: ended(client, task) for task in [*tasks, key]}
    hold = submit(client, register(client, "hold", HOLD), str(path))
    assert eventually(lambda: client.status(hold) == "RUNNING", 20)
    cancelled = submit(client, newest, 1)
    assert client.call("DELETE", f"/v1/tasks/{cancelled}").status == 200
    done[cancelled] = ended(client, cancelled)
    waiting = {
        hold: ["COMPLETED", "let go"],
        client.execute(add, 1, 2): ["COMPLETED", 3],
        submit(client, newest, 3, group="g", options={"priority": 9}): ["COMPLETED", 9],
        submit(client, gone, 4): ["COMPLETED", 12],
    }
    delayed = submit(client, newest, 6, delay=86400)
    assert client.call("DELETE", f"/v1/functions/{gone}").status == 204
    return {
        "ended": done,
        "waiting": waiting,
        "delayed": delayed,
        "key": {"call": keyed, "task": key},
        "functions": {"add": [add], "triple": [newest, triple], "gone": []},
        "group": [tasks[1]],
    }


def judge(client, expected):
    """Everything of an older version is there, and what waited is run."""
    for task, outcome in expected["ended"].items():
        assert ended(client, task) == outcome, task
    failed = next(task for task, (status, text) in expected["ended"].items() if "no luck" in str(text))
    story = client.get(f"/v1/tasks/{failed}").json
    assert story["error"]["type"] == "ValueError" and "last words" in story["output"], story
    for task, outcome in expected["waiting"].items():
        assert ended(client, task) == outcome, task
    assert client.status(expected["delayed"]) == "QUEUED"
    key = expected["key"]
    reply = client.post("/v1/tasks", key["call"], headers={"Idempotency-Key": "order-17"})
    assert reply.json["task_id"] == key["task"] and reply.headers["Idempotency-Replayed"] == "true", reply
    listed = {row["task_id"] for row in client.get("/v1/tasks?limit=100").json["tasks"]}
    assert {*expected["ended"], *expected["waiting"], expected["delayed"]} <= listed
    for name, ids in expected["functions"].items():
        reply = client.get(f"/v1/functions/{name}/versions")
        assert [one["function_id"] for one in reply.json.get("functions", [])] == ids, reply
    grouped = {row["task_id"] for row in client.get("/v1/tasks?group=g").json["tasks"]}
    assert grouped >= set(expected["group"]), grouped
    reply = client.post("/v1/functions/triple/invoke?wait=20", {"args": [7]})
    assert reply.status == 200 and reply.json["result"] == 21, reply


# -- SQLite ----------------------------------------------------------------------------------------------------------------

TIMES = {"tasks": "accepted not_before expires claimed started finished", "functions": "created deleted"}


def pack_sqlite(data, folder, expected):
    """The data directory as a server left it that was killed."""
    database = sqlite3.connect(data / "treadle.db")
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    with tarfile.open(folder / "sqlite.tar.gz", "w:gz", compresslevel=9) as archive:
        for path in sorted([data / "treadle.db", *(data / "blobs").rglob("*")]):
            archive.add(path, path.relative_to(data), recursive=False)
    write_expected(folder / "sqlite.json", expected)


def unpack_sqlite(folder, data):
    """The directory as if it had been left just now: what ended long ago would be thrown away by its age."""
    with tarfile.open(folder / "sqlite.tar.gz") as archive:
        archive.extractall(data)
    expected = json.loads((folder / "sqlite.json").read_text())
    late = int(time.time() * 1000) - expected["made"]
    database = sqlite3.connect(data / "treadle.db")
    for table, columns in TIMES.items():
        database.execute(f"UPDATE {table} SET " + ", ".join(f"{one} = {one} + {late}" for one in columns.split()))
    database.commit()
    database.close()
    return expected


# -- Redis -----------------------------------------------------------------------------------------------------------------


def pack_redis(redis, folder, expected):
    """Every key as DUMP has it, with the time that it still had to live."""
    with open(folder / "redis.jsonl", "w") as out:
        for key in sorted(redis.lines("keys", "*")):
            dumped = command(redis, "-D", "", "dump", key)
            print(json.dumps([key, max(int(redis.cli("pttl", key)), 0), base64.b64encode(dumped).decode()]), file=out)
    write_expected(folder / "redis.json", expected)


def command(redis, *words, given=None):
    argv = ["redis-cli", "-s", redis.socket, *map(str, words)]
    return subprocess.run(argv, input=given, capture_output=True, timeout=20, check=True).stdout


def unpack_redis(folder, redis):
    expected = json.loads((folder / "redis.json").read_text())
    late = int(time.time() * 1000) - expected["made"]
    for line in (folder / "redis.jsonl").read_text().splitlines():
        key, left, dumped = json.loads(line)
        answer = command(redis, "-x", "restore", key, left, given=base64.b64decode(dumped))
        assert answer.strip() == b"OK", (key, answer)
    for task in redis.lines("zrange", "treadle:tasks", 0, -1):
        redis.cli("zincrby", "treadle:tasks", late * 1000, task)
        for field in TIMES["tasks"].split():
            if redis.cli("hexists", task, field) == "1":
                redis.cli("hincrby", task, field, late)
    for name in ("treadle:delayed", "treadle:expiring"):
        for task in redis.lines("zrange", name, 0, -1):
            redis.cli("zincrby", name, late, task)
    return expected


def write_expected(path, expected):
    path.write_text(json.dumps({"made": int(time.time() * 1000), **expected}, indent=1) + "\n")


def size(folder):
    return sum(path.stat().st_size for path in pathlib.Path(folder).iterdir())


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()
