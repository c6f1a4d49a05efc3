"""kill -9, SIGSTOP and SIGTERM of each role under load."""

import itertools
import os
import signal
import time

from client import eventually
from rig import continue_tree, is_below
from rows import ALL, APART, REDIS, REDIS_APART, row

turns = itertools.count()


def one_of(programs):
    return programs[next(turns) % len(programs)]


def kill(scene, program, since="begin", again=True):
    """kill -9 of it while tasks run below or behind it, and, after a moment, its successor."""
    with scene.blow(since=since):
        program.kill()
        time.sleep(0.2)
        if again:
            scene.rig.begin(program)
    scene.settle()


def busy_holder(scene):
    holder = one_of(scene.rig.holders)
    scene.hit("in_flight", scene.busy(holder))
    return holder


@row("gateway kill -9", "the gateway dies and comes back; clients repeat with their keys", REDIS,
     hits=("unanswered",), short=("redis-push",))
def kill_gateway(scene):
    before = scene.unknown_calls()
    busy_holder(scene)
    kill(scene, one_of(scene.rig.gateways), since="end")
    scene.hit("unanswered", scene.unknown_calls() - before)


@row("serve kill -9", "gateway, store, dispatcher and local workers in one process", ("sqlite-local",),
     hits=("in_flight", "unanswered"), rounds=4)
def kill_serve_local(scene):
    kill_serve(scene)


@row("serve kill -9, fast", "the same with --durability fast", ("sqlite-local",), hits=("in_flight", "unanswered"),
     options={"durability": "fast"}, rounds=3)
def kill_serve_fast(scene):
    kill_serve(scene)


@row("dispatcher kill -9", "its workers run on; the next one adopts what they hold", APART,
     hits=("in_flight", "adopted"), short=("sqlite-push", "redis-pull"))
def kill_dispatcher(scene):
    busy_holder(scene)
    kill(scene, one_of(scene.rig.dispatchers), since="end")


@row("local dispatcher kill -9", "its executors die with it; its session is reaped", ("redis-local",),
     hits=("in_flight", "reaped", "requeued"), options={"dispatchers": 2}, rounds=1)
def kill_local_dispatcher(scene):
    busy_holder(scene)
    reaped = scene.totals.total["reaped"]
    kill(scene, one_of(scene.rig.dispatchers))
    assert eventually(lambda: scene.totals.total["reaped"] > reaped, 60), scene.rig.log()


def kill_serve(scene):
    before = scene.unknown_calls()
    busy_holder(scene)
    kill(scene, scene.rig.roles["serve"][0], since="end")
    scene.hit("unanswered", scene.unknown_calls() - before)


@row("worker kill -9", "its tasks run elsewhere, those that may", APART, hits=("in_flight", "requeued"),
     short=("sqlite-pull", "redis-push"))
def kill_worker(scene):
    kill(scene, busy_holder(scene))


@row("executor kill -9", "the Python process under a task dies", ALL, hits=("killed", "requeued"), rounds=6,
     short=("sqlite-local", "redis-pull"))
def kill_executor(scene):
    holder = one_of(scene.rig.holders)
    scene.busy(holder)
    runs = [run for run in scene.runs.open() if is_below(run.pid, holder.pid)]
    if runs:
        with scene.blow(probe=False):
            try:
                os.kill(runs[-1].pid, signal.SIGKILL)
                scene.hit("killed")
            except ProcessLookupError:
                pass
    scene.settle(10)


@row("all kill -9", "every process at once, the store too", ALL, hits=("in_flight", "unanswered"),
     short=("sqlite-push", "redis-local"))
def kill_all(scene):
    before = scene.unknown_calls()
    busy_holder(scene)
    with scene.blow(since="end"):
        for program in scene.rig.programs:
            program.kill()
        if scene.rig.redis:
            scene.rig.redis.kill()
            scene.rig.redis.start()
        scene.rig.assert_gone(10)
        for program in scene.rig.programs:
            scene.rig.begin(program)
    scene.settle()
    scene.hit("unanswered", scene.unknown_calls() - before)


# -- SIGSTOP ---------------------------------------------------------------------------------------------------------

STOPPED = 30  # seconds: three leases
# A worker that slept may begin at-least-once attempts that were given to others meanwhile: their results are refused.
LATE_STARTS = ("ran_after_end",)


@row("worker stopped 30 s", "it and its executors; what it held runs elsewhere, and its late results are refused", APART,
     hits=("in_flight", "requeued", "stale"), rounds=1, lasts=30,
     short=("redis-push", "sqlite-pull"), excused=LATE_STARTS)
def stop_worker(scene):
    worker = one_of(scene.rig.roles["worker"])
    scene.hit("in_flight", scene.busy(worker))
    pids = scene.rig.pids_below(worker)
    with scene.blow():
        worker.send_signal(signal.SIGSTOP)
        time.sleep(STOPPED)
        continue_tree(pids)
    scene.settle()
    eventually(lambda: scene.totals.total["stale"] > 0, 20)


@row("dispatcher stopped 30 s", "nobody is taken for dead because the dispatcher slept", REDIS_APART,
     hits=("in_flight", "reaped"), rounds=1, lasts=30, options={"dispatchers": 2, "workers": 1})
def stop_dispatcher(scene):
    dispatcher = one_of(scene.rig.dispatchers)
    busy_holder(scene)
    with scene.blow(since="end"):
        dispatcher.send_signal(signal.SIGSTOP)
        time.sleep(STOPPED)
        dispatcher.send_signal(signal.SIGCONT)
    scene.settle()


@row("serve stopped 30 s", "the whole embedded service but its workers", ("sqlite-push", "sqlite-pull", "sqlite-local"),
     hits=("in_flight", "unanswered"), rounds=1, lasts=30)
def stop_serve(scene):
    before = scene.unknown_calls()
    busy_holder(scene)
    serve = scene.rig.roles["serve"][0]
    with scene.blow(since="end"):
        serve.send_signal(signal.SIGSTOP)
        time.sleep(STOPPED)
        serve.send_signal(signal.SIGCONT)
    scene.settle()
    scene.hit("unanswered", scene.unknown_calls() - before)


# -- SIGTERM ---------------------------------------------------------------------------------------------------------


@row("rolling restart", "SIGTERM of each program in turn: nothing is burnt, no task is lost or fails", ALL,
     hits=("in_flight", "restarted"), rounds=1, short=("sqlite-local", "redis-push", "redis-pull"))
def rolling_restart(scene):
    for program in scene.rig.programs:
        busy_holder(scene)
        with scene.blow("SIGTERM", since="end"):
            code = program.stop(signal.SIGTERM, 60)
            assert code in (0, 130, 143), f"{program.name} ended with {code}\n{program.log()[-3000:]}"
            scene.hit("restarted")
            scene.rig.begin(program)
        scene.settle(15)


# -- several ---------------------------------------------------------------------------------------------------------


@row("two of each, random kills", "two gateways, two dispatchers: any of them or of their workers dies, and comes back",
     REDIS, options={"gateways": 2, "dispatchers": 2}, hits=("in_flight",), rounds=6,
     short=("redis-push", "redis-pull"))
def random_kills(scene):
    victims = scene.rig.programs
    program = victims[(next(turns) * 7 + scene.seed) % len(victims)]
    busy_holder(scene)
    kill(scene, program, since="begin" if program.role == "worker" else "end")


