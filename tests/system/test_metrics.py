"""What the server says of itself: /livez, /readyz, /version, /metrics."""

import re

import pytest

import wire
from server import eventually, run


def double(x):
    return x * 2


def sleep(seconds):
    import time

    time.sleep(seconds)


def test_health_and_version(server):
    assert server.get("/livez").status == 200
    ready = server.get("/readyz")
    assert ready.status == 200 and ready.json["mode"] == "local" and ready.json["slots"] == 4
    version = server.get("/version").json
    code, out, _ = run("version")
    assert code == 0 and version["version"] in out and re.fullmatch(r"\d+\.\d+\.\d+.*", version["version"])


@pytest.mark.parametrize("flag, level", [("strict", "power"), ("fast", "process"), ("none", "none")])
def test_durability_is_named(serve, flag, level):
    server = serve("-w", 1, "--durability", flag)
    assert server.run(double, 4) == 8
    assert server.get("/readyz").json["durability"] == level
    assert server.get("/version").json["durability"] == level
    assert level in server.log()


def test_metrics_before_and_after_tasks(serve):
    server = serve("-w", 2)
    before = server.metrics()
    for name in (
        "treadle_tasks_submitted_total",
        'treadle_tasks_finished_total{state="COMPLETED"}',
        'treadle_tasks_finished_total{state="FAILED"}',
        "treadle_tasks_queued",
        "treadle_tasks_running",
        'treadle_outcomes_refused_total{reason="stale"}',
    ):
        assert before[name] == 0, name
    assert before["treadle_slots"] == 2 and before["treadle_slots_free"] == 2

    function_id = server.register(double)
    for n in range(7):
        assert server.value(server.execute(function_id, n)) == n * 2
    for _ in range(3):
        server.failure(server.execute(function_id))
    sleeper = server.register(sleep)
    ids = [server.execute(sleeper, 1.0) for _ in range(5)]
    busy = eventually(lambda: (m := server.metrics())["treadle_tasks_running"] == 2 and m, 3)
    assert busy, server.metrics()
    assert busy["treadle_tasks_queued"] == 3 and busy["treadle_slots_free"] == 0
    assert busy["treadle_tasks_submitted_total"] == 15
    for task_id in ids:
        assert server.value(task_id) is None
    after = eventually(lambda: (m := server.metrics())["treadle_slots_free"] == 2 and m, 3)
    assert after, server.metrics()
    assert after['treadle_tasks_finished_total{state="COMPLETED"}'] == 12
    assert after['treadle_tasks_finished_total{state="FAILED"}'] == 3
    assert after["treadle_tasks_queued"] == 0 and after["treadle_tasks_running"] == 0
    assert after["treadle_tasks_submitted_total"] == 15


def test_http_latency(serve):
    server = serve("-w", 1)
    assert server.run(double, 1) == 2
    for _ in range(5):
        assert server.get("/status/nonsense").status == 400
    metrics = server.metrics()
    count = {k: v for k, v in metrics.items() if k.startswith("treadle_http_request_seconds_count")}
    executed = [v for k, v in count.items() if "execute_function" in k and 'code="200"' in k]
    refused = [v for k, v in count.items() if "/status" in k and 'code="400"' in k]
    assert executed == [1] and refused == [5], count
    took = [
        v for k, v in metrics.items() if k.startswith("treadle_http_request_seconds_sum") and "execute_function" in k
    ]
    assert 0 < sum(took) < 1


def test_metrics_are_well_formed(server):
    """Each sample belongs to a family with HELP and TYPE, names and labels are legal, buckets only grow."""
    server.run(double, 1)
    families, samples = {}, []
    for line in server.get("/metrics").body.decode().splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            families[name] = kind
        elif line and not line.startswith("#"):
            match = re.fullmatch(r'([a-zA-Z_:][\w:]*)(\{(?:\w+="(?:[^"\\]|\\.)*",?)*\})? (\S+)', line)
            assert match, line
            float(match.group(3))
            samples.append(match.groups())
    assert samples and families
    for name, _, _ in samples:
        assert name in families or re.sub("_(bucket|sum|count)$", "", name) in families, name
    assert (
        families["treadle_tasks_submitted_total"] == "counter"
        and families["treadle_http_request_seconds"] == "histogram"
    )
    assert wire.WORDS >= {
        re.search('state="(\\w+)"', labels).group(1)
        for name, labels, _ in samples
        if name == "treadle_tasks_finished_total"
    }
