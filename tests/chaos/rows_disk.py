"""Disks that are full or broken, and a wall clock that is wrong."""

import errno
import os
import subprocess
import time

from client import eventually
from history.model import Blow
from rows import ALL, REDIS, SQLITE, row
from rows_kill import busy_holder
from shim import Shim

MIB = 1 << 20


def small_disk(scene, mib):
    """A tmpfs of so many MiB, which goes at the end."""
    place = scene.home / "disk"
    place.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", place], capture_output=True, text=True)
    assert done.returncode == 0, f"only a root that may mount can make a small disk: {done.stderr}"
    scene.closing.callback(lambda: eventually(lambda: subprocess.run(["umount", place]).returncode == 0, 20))
    return place


def fill(path):
    """Takes all space that is left."""
    with open(path, "ab", buffering=0) as file:
        for size in (MIB, 4096):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue


def on_small_disk(scene):
    scene.disk = small_disk(scene, 400)
    return {"data": scene.disk / "data"}


@row("disk full, sqlite", "submits are refused with 507, what runs ends, and all goes on when there is space", SQLITE,
     options=on_small_disk, hits=("in_flight", "refused", "ended_meanwhile"), rounds=1, short=("sqlite-local",))
def full_sqlite(scene):
    busy_holder(scene)
    before, ended = scene.unknown_calls(), len(scene.load.ended)
    with scene.blow(since="end"):
        fill(scene.disk / "ballast")
        # What fits in files that are there is rightly taken; the load of the row would need minutes to use it up.
        assert eventually(lambda: swell(scene) or scene.unknown_calls() > before, 60), "no submit was refused"
        time.sleep(3)
        scene.hit("ended_meanwhile", len(scene.load.ended) - ended)
        os.unlink(scene.disk / "ballast")
    scene.hit("refused", scene.unknown_calls() - before)
    scene.settle()


def swell(scene):
    """Submits with 100 KB each, until one is refused."""
    for _ in range(50):
        intent = scene.load.plain_intent()
        if scene.load.submit(intent, scene.load.body_of(intent, "p" * 100_000)) is None:
            return True
    return False


def redis_on_small_disk(scene):
    scene.disk = small_disk(scene, 8)
    return {"redis_folder": scene.disk}


def always_on_small_disk(scene):
    return {**redis_on_small_disk(scene), "appendfsync": "always"}


@row("disk full, redis everysec", "its append-only file cannot grow: it answers MISCONF until there is space", REDIS,
     options=redis_on_small_disk, hits=("in_flight", "refused"), rounds=1, short=("redis-push",))
def full_everysec(scene):
    busy_holder(scene)
    before = scene.unknown_calls()
    with scene.blow(since="end"):
        fill(scene.disk / "ballast")
        assert eventually(lambda: scene.unknown_calls() > before, 60), scene.rig.log()
        time.sleep(2)
        os.unlink(scene.disk / "ballast")
    scene.hit("refused", scene.unknown_calls() - before)
    scene.settle()


@row("disk full, redis always", "Redis ends rather than say yes; it comes back when there is space", REDIS,
     options=always_on_small_disk, hits=("in_flight", "ended"), rounds=1, short=("redis-local",))
def full_always(scene):
    busy_holder(scene)
    before = scene.unknown_calls()
    with scene.blow(since="end"):
        fill(scene.disk / "ballast")
        assert eventually(lambda: not scene.rig.redis.program.alive, 60), scene.rig.log()
        scene.hit("ended")
        scene.rig.redis.program.wait()
        os.unlink(scene.disk / "ballast")
        scene.rig.redis.start()
    scene.hit("refused", scene.unknown_calls() - before)
    scene.settle()


# -- by the shim -----------------------------------------------------------------------------------------------------


def with_shim(role):
    def options(scene):
        scene.shim = Shim(scene.home, scene.home / "data")
        return {"env": {role: scene.shim.env}}

    return options


def fails_and_restarts(scene, **fault):
    """The service ends by itself at the fault, and its successor recovers."""
    busy_holder(scene)
    serve = scene.rig.roles["serve"][0]
    failed = scene.shim.get("failed")
    with scene.blow(since="end"):
        scene.shim.set(one_in=3, **fault)
        code = serve.wait(60)
        scene.shim.set(**dict.fromkeys(fault, 0))
        assert code != 0, f"it ended with 0\n{serve.log()[-2000:]}"
        scene.hit("failed", scene.shim.get("failed") - failed)
        scene.rig.begin(serve)
    scene.settle()


@row("fsync EIO, sqlite", "fdatasync fails: the service ends, since nobody knows what is on the disk; a restart recovers",
     SQLITE, options=with_shim("serve"), hits=("in_flight", "failed"), short=("sqlite-local",))
def sync_fails(scene):
    fails_and_restarts(scene, sync_error=errno.EIO)


@row("write EIO, sqlite", "a write fails: the same", SQLITE, options=with_shim("serve"), hits=("in_flight", "failed"),
     short=("sqlite-push",))
def write_fails(scene):
    fails_and_restarts(scene, write_error=errno.EIO)


@row("short writes, sqlite", "every second write writes a half: nothing is to be noticed", SQLITE,
     options=with_shim("serve"), hits=("shortened",), short=("sqlite-local",), rounds=1)
def writes_come_short(scene):
    shortened = scene.shim.get("shortened")
    with scene.blow(since="end"):
        scene.shim.set(one_in=2, short=1)
        scene.settle(60)
        scene.shim.set(short=0)
    scene.hit("shortened", scene.shim.get("shortened") - shortened)


def with_clock(scene):
    """Of every program that we start; user code below them inherits it."""
    scene.shim = Shim(scene.home, "/nowhere")
    return {"env": dict.fromkeys(("serve", "gateway", "dispatcher", "worker", "redis"), scene.shim.env)}


@row("wall clock +-1 h", "the clocks of all programs, Redis's too, step by an hour: nothing expires, runs again or stops",
     ALL, options=with_clock, hits=("wrong_reads",), short=("sqlite-local", "redis-push"), rounds=1)
def clock_steps(scene):
    for seconds in (3600, -3600, 0):
        # A step is no excuse for anything: the blow is over when it begins, and has no effect afterwards.
        now = time.monotonic()
        scene.blows.append(Blow("clock", now, now, now))
        scene.blows[-1].since = "end"
        reads = scene.shim.get("wrong_reads")
        scene.shim.set(clock=seconds)
        scene.settle(60)
        scene.recoveries.append(scene.load.probe())
        scene.hit("wrong_reads", scene.shim.get("wrong_reads") - reads)
