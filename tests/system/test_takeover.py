"""`dispatcher --name` with workers: the next one of the name takes over, the old one steps back, and nothing runs twice."""

import os
import pathlib
import signal
import time

import pytest

from fleet import long_the_first_time, running
from server import PATIENCE, eventually

pytestmark = pytest.mark.sleepy
RUNS = 6  # s: longer than a dispatcher that took a name waits for the workers of the one before (5 s)
SILENT = 10  # s: so long the session of a living process, or of one without a name, has to be silent


def note_and_sleep(path, seconds):
    """Leaves a byte for each start, runs so long, and says when it began."""
    import os
    import time

    began = time.monotonic()
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, b"x")
    os.close(fd)
    time.sleep(seconds)
    return began


def starts(path):
    return pathlib.Path(path).stat().st_size if pathlib.Path(path).exists() else 0


def again(fleet, dispatcher, *flags):
    """The same dispatcher once more, on its port."""
    port = dispatcher.endpoint.rsplit(":", 1)[1]
    program = fleet.begin("dispatcher", "dispatcher", "-m", dispatcher.mode, "-p", port, "--store", fleet.redis.url, *flags)
    program.says("dispatching")
    return program


@pytest.mark.parametrize("mode", ["push", "pull"])
def test_what_a_living_worker_runs_is_adopted_and_what_a_dead_one_ran_comes_back_at_once(fleet, tmp_path, mode):
    gateway = fleet.gateway()
    first = fleet.dispatcher(mode, "--name", "d1")
    workers = fleet.worker(first, 1), fleet.worker(first, 1)
    lost = running(gateway, tmp_path / "lost", 60)
    doomed = holder(gateway, workers, lost)
    stays = workers[1 - workers.index(doomed)]
    sleep = gateway.register(note_and_sleep)
    noted = [str(tmp_path / name) for name in ("kept", "waits")]
    kept = gateway.execute(sleep, noted[0], RUNS)
    assert eventually(lambda: starts(noted[0]) == 1, 10), fleet.log()
    waits = gateway.execute(sleep, noted[1], 0)

    # One worker and the dispatcher die together; the other worker runs on.
    first.kill()
    doomed.kill()
    begun = time.monotonic()
    second = again(fleet, first, "--name", "d1")
    assert eventually(lambda: gateway.status(kept) == "COMPLETED", 30), fleet.log()
    assert eventually(lambda: gateway.status(lost) == "COMPLETED", 30), fleet.log()
    took = time.monotonic() - begun
    assert eventually(lambda: gateway.status(waits) == "COMPLETED", 30), fleet.log()
    assert took < (SILENT - 1) * PATIENCE, f"{took:.1f} s: as if it had no name"
    assert [starts(path) for path in noted] == [1, 1], "what ran on a living worker ran again"
    assert starts(tmp_path / "lost") == 2
    assert eventually(lambda: gateway.metrics()["treadle_sessions_reaped_total"] == 1, 5)
    assert gateway.metrics()["treadle_tasks_adopted_total"] >= 1
    assert second.alive and stays.alive


def holder(gateway, workers, task):
    """The one of them that runs this task."""

    def look():
        listed = gateway.get("/v1/workers").json["workers"]
        pids = {one["pid"] for one in listed if task in one["current_tasks"]}
        return next((worker for worker in workers if worker.pid in pids), None)

    found = eventually(look, 10)
    assert found, gateway.get("/v1/workers").json
    return found


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["push", "pull"])
def test_one_that_only_slept_is_not_taken_over_by_name_and_steps_back_when_it_was_reaped(fleet, tmp_path, mode):
    """Its process lives, so nobody may take its name's session before it has been silent for 10 s."""
    gateway = fleet.gateway()
    old = fleet.dispatcher(mode, "--name", "d1")
    fleet.worker(old, 1)
    slept = gateway.execute(gateway.register(long_the_first_time), str(tmp_path / "ran"), 60)
    assert eventually(lambda: gateway.status(slept) == "RUNNING", 10), fleet.log()
    os.kill(old.pid, signal.SIGSTOP)
    begun = time.monotonic()
    try:
        new = fleet.dispatcher(mode, "--name", "d1")
        fleet.worker(new, 1)
        assert eventually(lambda: gateway.status(slept) == "COMPLETED", 40), fleet.log()
        took = time.monotonic() - begun
    finally:
        os.kill(old.pid, signal.SIGCONT)
    assert took > SILENT - 1, f"{took:.1f} s: a living process was taken for dead"
    old.says(r"session\.reaped")
    assert starts(tmp_path / "ran") == 2, "the sleeper's worker has it still, and another ran it: that is all"

    # Awake, it has a session of its own again, and both serve.
    sleep = gateway.register(note_and_sleep)
    paths = [str(tmp_path / f"after{n}") for n in range(6)]
    tasks = [gateway.execute(sleep, path, 0.3) for path in paths]
    assert all(eventually(lambda t=t: gateway.status(t) == "COMPLETED", 30) for t in tasks), fleet.log()
    assert [starts(path) for path in paths] == [1] * 6, "a task ran twice though both dispatchers live"
    assert gateway.status(slept) == "COMPLETED"
    assert old.alive and new.alive
