"""A master of Redis dies or is cut off, and a replica takes its place: behind Sentinels, and in a Cluster.

What the replica had not got yet is undone, acknowledged or not, so these rows measure what others demand. What is
demanded of them: nothing is lost but that, what runs on ends once, and the service goes on by itself.
"""

import signal

from client import eventually
from rig import continue_tree
from rows import REDIS, row
from rows_kill import busy_holder

# What a write that is undone may look like: a task that was accepted is gone, one that ended runs again.
UNDONE = ("lost", "vanished", "backwards", "result_changed", "started_twice", "once_ran_after_end", "ran_after_end",
          "ran_though_cancelled", "key_has_two_tasks", "conflict_accepted", "stale_result")  # fmt: skip
WAIT = {"gateway": ("--redis-wait", 1), "dispatcher": ("--redis-wait", 1)}
BEHIND = "the writes of the moment before it (asynchronous replication)"


def failover(scene, strike, since="end"):
    """`strike(group)` puts a master out of action and returns it; waits until another is in its place."""
    group, before = scene.rig.redis, scene.unknown_calls()
    busy_holder(scene)
    with scene.blow(since=since):
        dead = strike(group)
        assert group.failed_over(dead, 30), f"no failover\n{scene.rig.log()}"
        scene.hit("failed_over")
    scene.settle()
    scene.hit("unanswered", scene.unknown_calls() - before)
    return dead


@row("sentinel master kill -9", "two replicas, three Sentinels", REDIS, rounds=1, options={"topology": "sentinel"},
     hits=("in_flight", "failed_over", "unanswered"), bound=0.02, bound_words=BEHIND, measured=UNDONE,
     short=("redis-push",))
def sentinel_kill(scene):
    failover(scene, lambda group: group.kill_master())


@row("sentinel master kill -9, WAIT 1", "the same with --redis-wait 1: a replica has what is acknowledged, and the one "
     "that has most becomes the master", REDIS, rounds=1, options={"topology": "sentinel", "flags": WAIT},
     hits=("in_flight", "failed_over", "unanswered"), bound=0.002, bound_words="a replica that was cut off may win",
     measured=UNDONE, short=("redis-pull",))
def sentinel_kill_wait(scene):
    failover(scene, lambda group: group.kill_master())


@row("sentinel master stopped", "SIGSTOP until another is the master: the old one wakes, does not know it, and is made a "
     "replica", REDIS, rounds=1, options={"topology": "sentinel"}, hits=("in_flight", "failed_over", "made_a_replica"),
     bound=0.02, bound_words=BEHIND + ", and what the old master takes until it hears of it", measured=UNDONE,
     short=("redis-local",))
def sentinel_stop(scene):
    def stop(group):
        node = group.master()
        node.program.send_signal(signal.SIGSTOP)
        return node

    old = failover(scene, stop)
    continue_tree([old.pid])
    assert eventually(lambda: old.info("replication").get("role") == "slave", 30), old.info("replication")
    scene.hit("made_a_replica")
    scene.settle()


@row("cluster master kill -9", "three masters with a replica each; the one with a third of the partitions dies", REDIS,
     rounds=1, options={"topology": "cluster"}, hits=("in_flight", "failed_over", "unanswered"), bound=0.02,
     bound_words=BEHIND, measured=UNDONE, short=("redis-push",))
def cluster_kill(scene):
    failover(scene, lambda group: group.kill_master())
