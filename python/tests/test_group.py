"""Groups: results by the name that tasks were submitted under, from another client, and what is done to all of them."""

import itertools
import os
import pathlib
import subprocess
import sys
import uuid

import pytest

import treadle


@pytest.fixture
def group():
    return f"group {uuid.uuid4()}"


def half(n):
    if n % 2:
        raise ValueError(f"{n} is odd")
    return n // 2


def test_another_client_has_the_results_as_they_end(client, url, group):
    client.submit_many(half, [(n,) for n in range(30)], group=group)
    assert client.wait_accepted(20)
    with treadle.Client(url) as other:
        night = other.group(group)
        futures = list(night.results())
        assert all(future.done() for future in futures) and len({future.task_id for future in futures}) == 30
        assert sorted(future.result() for future in futures if future.exception() is None) == list(range(15))
        assert {str(future.exception()) for future in futures} - {"None"} == {f"{n} is odd" for n in range(1, 30, 2)}
        assert list(other.group(group, night.cursor).results()) == [], "there is nothing after the last"


def test_results_go_on_after_a_cursor(client, group):
    client.submit_many(half, [(n,) for n in range(0, 40, 2)], group=group)
    client.wait_accepted()
    first = client.group(group)
    some = list(itertools.islice(first.results(), 7))
    rest = list(client.group(group, first.cursor).results())
    assert sorted(future.result() for future in some + rest) == list(range(20))


def test_large_results_and_cancelled_ones(client, group):
    client.submit_many(lambda: "x" * 600_000, [()], group=group)
    client.submit_many(half, [(0,)], group=group, delay=600)
    client.wait_accepted()
    assert client.group(group).cancel(dry_run=True) in (1, 2)
    results = client.group(group).results()
    assert next(results).result() == "x" * 600_000
    assert client.group(group).cancel() == 1
    (cancelled,) = results
    assert cancelled.cancelled()


def test_retry_makes_new_tasks_of_those_that_failed(client, group, tmp_path):
    flag = tmp_path / "flag"

    def fails_until(path):
        import os

        if not os.path.exists(path):
            raise FileNotFoundError(path)
        return "there"

    client.submit_many(fails_until, [(str(flag),)] * 3, group=group)
    client.wait_accepted()
    night = client.group(group)
    assert [type(future.exception()) for future in night.results()] == [FileNotFoundError] * 3
    flag.touch()
    assert night.retry(dry_run=True) == 3 and night.retry() == 3
    assert [future.result() for future in night.results()] == ["there"] * 3, "after the cursor of the failed ones"
    assert night.retry() == 0, "each once"


def test_names_that_are_nothing(client):
    with pytest.raises(treadle.NotFound):
        next(client.group("nobody's").results())
    for name in ("", "a/b"):
        with pytest.raises(ValueError, match="name of a group"):
            client.group(name)


def test_a_server_that_is_killed_is_waited_for(new_server, group):
    with treadle.Client(new_server.url, retry_for=30) as client:
        client.submit_many(half, [(n,) for n in range(0, 20, 2)], group=group)
        client.wait_accepted()
        client.submit_many(half, [(0,)], group=group, delay=1.5)
        client.wait_accepted()
        results = client.group(group).results()
        some = [next(results).result() for _ in range(5)]
        new_server.wanted_port = new_server.port
        new_server.kill()
        new_server.start()
        assert sorted(some + [future.result() for future in results]) == sorted([*range(10), 0])


def test_a_process_that_was_killed_is_taken_up_by_its_group(url, group):
    begin = f"""
import sys, time, treadle
client = treadle.Client(sys.argv[1])
results = client.map(lambda n: n * n, range(2000), group=sys.argv[2], ordered=False)
client.wait_accepted()
for _ in range(600):
    next(results)
print("now", flush=True)
time.sleep(60)
"""
    env = {**os.environ, "PYTHONPATH": str(pathlib.Path(treadle.__file__).parents[1])}
    process = subprocess.Popen([sys.executable, "-c", begin, url, group], stdout=subprocess.PIPE, text=True, env=env)
    assert process.stdout.readline() == "now\n"
    process.kill()
    process.wait()
    with treadle.Client(url) as client:
        futures = list(client.group(group).results())
    assert len({future.task_id for future in futures}) == 2000
    assert sorted(future.result() for future in futures) == [n * n for n in range(2000)]
