"""Redis dies, stands still, forgets, is full, or answers with errors."""

import signal
import time
from pathlib import Path

from client import eventually
from rig import continue_tree
from rows import REDIS, row
from rows_kill import busy_holder


def redis_dies(scene, number=signal.SIGKILL):
    """And comes back after half a second."""
    before = scene.unknown_calls()
    busy_holder(scene)
    with scene.blow(since="end"):
        redis = scene.rig.redis
        redis.program.send_signal(number)
        redis.program.wait()
        time.sleep(0.5)
        redis.start()
    scene.settle()
    scene.hit("unanswered", scene.unknown_calls() - before)


@row("redis kill -9, everysec", "appendonly yes, appendfsync everysec: the level is `process`", REDIS,
     hits=("in_flight", "unanswered"), short=("redis-push", "redis-local"))
def kill_everysec(scene):
    redis_dies(scene)


@row("redis kill -9, always", "appendonly yes, appendfsync always: the level is `power`", REDIS,
     options={"appendfsync": "always"}, hits=("in_flight", "unanswered"), short=("redis-pull",))
def kill_always(scene):
    redis_dies(scene)


@row("redis kill -9, no AOF", "below the promise: `/readyz` says `none`, and all that Redis held may be gone", REDIS,
     options={"appendfsync": ""}, hits=("in_flight", "unanswered", "forgotten"), short=("redis-push",), rounds=1,
     unlogged=True, bound=1.0, bound_words="everything that was accepted before the kill",
     measured=("lost", "vanished", "key_has_two_tasks", "conflict_accepted"))
def kill_none(scene):
    tasks = int(scene.rig.redis.cli("zcard", "treadle:tasks"))
    redis_dies(scene)
    scene.hit("forgotten", tasks)


@row("redis restart", "SIGTERM of Redis, which writes its file and ends; three times", REDIS, rounds=3,
     hits=("in_flight", "unanswered"), short=("redis-pull",))
def restart(scene):
    redis_dies(scene, signal.SIGTERM)


@row("redis stopped 30 s", "SIGSTOP: connections stand, nothing is answered", REDIS, rounds=1, lasts=30,
     hits=("in_flight", "unanswered"), short=("redis-push",))
def stand_still(scene):
    before = scene.unknown_calls()
    busy_holder(scene)
    with scene.blow(since="end"):
        scene.rig.redis.program.send_signal(signal.SIGSTOP)
        time.sleep(30)
        continue_tree([scene.rig.redis.pid])
    scene.settle()
    scene.hit("unanswered", scene.unknown_calls() - before)


@row("redis script flush", "the scripts are forgotten and have to be sent again", REDIS, rounds=5,
     hits=("in_flight", "flushed", "loaded_again"), short=("redis-local", "redis-push"))
def script_flush(scene):
    busy_holder(scene)
    with scene.blow(since="end"):
        assert scene.rig.redis.cli("script", "flush") == "OK"
    scene.hit("flushed")
    scene.settle(10)
    scene.hit("loaded_again", number_of(scene, "number_of_cached_scripts"))


def number_of(scene, name):
    """A figure of INFO."""
    lines = scene.rig.redis.cli("info", "everything").splitlines()
    return int(next(line for line in lines if line.startswith(name + ":")).split(":")[1])


@row("redis flushall", "everything is gone, functions too; what comes after it works", REDIS,
     hits=("in_flight", "forgotten"), short=("redis-pull",))
def flush_all(scene):
    busy_holder(scene)
    scene.hit("forgotten", int(scene.rig.redis.cli("dbsize")))
    with scene.blow(wipes=True, since="end", probe=False):
        assert scene.rig.redis.cli("flushall") == "OK"
        scene.load.register()
    scene.recoveries.append(scene.load.probe())
    scene.settle()


@row("redis pubsub cut", "CLIENT KILL TYPE pubsub: hints are lost, tasks are not", REDIS, rounds=20, hits=("cut",),
     short=("redis-push", "redis-local"))
def cut_pubsub(scene):
    with scene.blow(since="end", probe=scene.blows[4::5] == []):
        scene.hit("cut", int(scene.rig.redis.cli("client", "kill", "type", "pubsub")))
    scene.settle(5)


@row("redis out of memory", "maxmemory: submits are refused, what was accepted ends", REDIS,
     hits=("refused", "ended_meanwhile"), short=("redis-push",))
def out_of_memory(scene):
    refused_while(scene, lambda: config(scene, "maxmemory", "1mb"), lambda: config(scene, "maxmemory", "0"))


@row("redis misconf", "a failed BGSAVE: Redis refuses every write until it is mended", REDIS, hits=("refused",),
     short=("redis-local",))
def misconf(scene):
    obstacle = Path(scene.rig.redis.folder) / "dump.rdb"  # a directory where the file should go

    def begin():
        obstacle.mkdir()
        config(scene, "save", "3600 1000000")
        scene.rig.redis.cli("bgsave")
        assert eventually(lambda: "rdb_last_bgsave_status:err" in scene.rig.redis.cli("info", "persistence"), 20)

    def end():
        config(scene, "save", "")
        obstacle.rmdir()

    refused_while(scene, begin, end)


def config(scene, name, value):
    assert scene.rig.redis.cli("config", "set", name, value) == "OK"


def refused_while(scene, begin, end, seconds=3):
    """Submits are answered with a fault for so long; counts them, and what ended in the meantime."""
    busy_holder(scene)
    before, ended = scene.unknown_calls(), len(scene.load.ended)
    with scene.blow(since="end"):
        begin()
        time.sleep(seconds)
        scene.hit("ended_meanwhile", len(scene.load.ended) - ended)
        end()
    scene.hit("refused", scene.unknown_calls() - before)
    scene.settle()
