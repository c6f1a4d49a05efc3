"""SIGTERM of each role apart: nothing is burnt, a second one returns at once."""

import signal
import time

import pytest

from fleet import running
from server import PATIENCE, eventually

AT_ONCE = 4  # s


def stop_twice(program):
    """The seconds from the second signal to its end."""
    program.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    assert program.alive, "it waits"
    begun = time.monotonic()
    program.send_signal(signal.SIGTERM)
    program.wait(20)
    return time.monotonic() - begun


@pytest.mark.parametrize("mode", ["push", "pull"])
def test_a_worker_gives_back_what_runs_unburnt(fleet, tmp_path, mode):
    gateway = fleet.gateway()
    dispatcher = fleet.dispatcher(mode)
    worker = fleet.worker(dispatcher, 1)
    task_id = running(gateway, tmp_path / "runs", 100)
    assert stop_twice(worker) < AT_ONCE * PATIENCE
    assert eventually(lambda: gateway.status(task_id) == "QUEUED", 5), fleet.log()
    assert gateway.get(f"/v1/tasks/{task_id}").json["losses"] == 0
    fleet.worker(dispatcher, 1)
    assert gateway.value(task_id) == "done"
    assert (tmp_path / "runs").read_text() == "xx"


@pytest.mark.parametrize("mode", ["push", "pull"])
def test_a_dispatcher_leaves_its_workers_running(fleet, tmp_path, mode):
    gateway = fleet.gateway()
    dispatcher = fleet.dispatcher(mode)
    fleet.worker(dispatcher, 1)
    task_id = running(gateway, tmp_path / "runs", 4)
    begun = time.monotonic()
    assert dispatcher.stop() == 0
    assert time.monotonic() - begun < AT_ONCE * PATIENCE
    port = dispatcher.endpoint.rsplit(":", 1)[1]
    fleet.begin("dispatcher", "dispatcher", "-m", mode, "-p", port, "--store", fleet.redis.url).says("dispatching")
    assert gateway.value(task_id) == "done"
    assert (tmp_path / "runs").read_text() == "x", "it was adopted, not run again"
    assert gateway.get(f"/v1/tasks/{task_id}").json["losses"] == 0


def test_a_local_dispatcher_gives_back_what_runs_unburnt(fleet, tmp_path):
    gateway = fleet.gateway()
    dispatcher = fleet.dispatcher("local", "-w", 1)
    task_id = running(gateway, tmp_path / "runs", 100)
    assert stop_twice(dispatcher) < AT_ONCE * PATIENCE
    assert eventually(lambda: gateway.status(task_id) == "QUEUED", 5), fleet.log()
    assert gateway.get(f"/v1/tasks/{task_id}").json["losses"] == 0


def test_a_gateway_answers_who_waits_and_goes(fleet):
    gateway = fleet.gateway()
    begun = time.monotonic()
    assert gateway.program.stop() == 0
    assert time.monotonic() - begun < AT_ONCE * PATIENCE
