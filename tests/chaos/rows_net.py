"""What a bad network does, by the proxy: to Redis, or to the dispatcher of a worker."""

import time

from client import eventually
from proxy import Proxy
from rows import APART, REDIS, REDIS_APART, row
from rows_kill import LATE_STARTS, busy_holder


def linked(scene, link, wanted=None):
    """Options of a rig whose links of this kind go through proxies; those that `wanted(n)` does not want go straight."""
    scene.proxies = []

    def port_of(target, n):
        if wanted and not wanted(n):
            return target
        proxy = Proxy(target, scene.seed + n)
        scene.proxies.append(proxy)
        scene.closing.callback(proxy.close)
        return proxy.port

    return {link: port_of}


def to_redis(scene):
    return linked(scene, "store_link")


def to_dispatcher(scene):
    return linked(scene, "worker_link")


def worsened(scene, seconds, **how):
    """All links for so long; counts the pieces that passed in the meantime."""
    for name, value in how.items():
        for proxy in scene.proxies:
            setattr(proxy, name, value)
    pieces = sum(proxy.pieces for proxy in scene.proxies)
    time.sleep(seconds)
    for name in how:
        for proxy in scene.proxies:
            setattr(proxy, name, type(getattr(proxy, name))())
    scene.hit("pieces", sum(proxy.pieces for proxy in scene.proxies) - pieces)


def delayed(scene):
    with scene.blow(since="end"):
        worsened(scene, 5, delay=0.1)
    scene.settle()


def single_bytes(scene):
    with scene.blow(since="end"):
        worsened(scene, 5, single_bytes=True)
    scene.settle()


def resets(scene):
    """Every 0.15 s one of the connections."""
    with scene.blow(since="end"):
        for _ in range(30):
            time.sleep(0.15)
            scene.hit("resets", sum(proxy.reset() for proxy in scene.proxies))
    scene.settle()


for name, strike, hits in (
    ("delay 100 ms", delayed, ("pieces",)),
    ("single bytes", single_bytes, ("pieces",)),
    ("resets", resets, ("resets",)),
):
    row(f"{name}, store", "between Redis and gateways, dispatchers", REDIS, options=to_redis, hits=hits, rounds=1,
        short=("redis-push",))(strike)
    row(f"{name}, worker", "between workers and their dispatcher", APART, options=to_dispatcher, hits=hits, rounds=1,
        short=("sqlite-pull", "redis-push") if name == "resets" else ("sqlite-push",))(strike)

PARTITION = 15  # seconds: longer than a lease and a session


@row("worker partitioned", "one of two workers is cut off for longer than its lease, runs on, and comes back", APART,
     options=lambda scene: linked(scene, "worker_link", lambda n: n == 0), rounds=1, lasts=15,
     hits=("in_flight", "requeued", "stale", "swallowed"), short=("redis-push", "sqlite-pull"), excused=LATE_STARTS)
def partition_worker(scene):
    scene.hit("in_flight", scene.busy(scene.rig.roles["worker"][0]))
    with scene.blow():
        for proxy in scene.proxies:
            proxy.hole = True
        time.sleep(PARTITION)
        for proxy in scene.proxies:
            proxy.hole = False
            scene.hit("swallowed", proxy.swallowed)
    scene.settle()
    eventually(lambda: scene.totals.total["stale"] > 0, 20)


@row("worker partitioned briefly", "for 3 s: nothing is taken from it, nothing runs twice", APART, rounds=2,
     options=lambda scene: linked(scene, "worker_link", lambda n: n == 0), hits=("in_flight", "swallowed"),
     short=("redis-pull",))
def partition_briefly(scene):
    scene.hit("in_flight", scene.busy(scene.rig.roles["worker"][0]))
    with scene.blow(since="end"):
        for proxy in scene.proxies:
            proxy.hole = True
        time.sleep(3)
        for proxy in scene.proxies:
            proxy.hole = False
            scene.hit("swallowed", proxy.swallowed)
    scene.settle()


@row("dispatcher partitioned from redis", "one of two; the other reaps its session, its own late outcomes are refused",
     REDIS_APART, rounds=1, hits=("in_flight", "reaped", "requeued"), excused=LATE_STARTS, lasts=30,
     options=lambda scene: {**linked(scene, "store_link", lambda n: n == 2), "gateways": 2, "dispatchers": 2})
def partition_dispatcher(scene):
    """Links to Redis are numbered in the order of the programs: two gateways, then the dispatchers."""
    busy_holder(scene)
    with scene.blow():
        for proxy in scene.proxies:
            proxy.hole = True
        time.sleep(2 * PARTITION)
        for proxy in scene.proxies:
            proxy.hole = False
    scene.settle()


@row("gateway partitioned from redis", "one of two gateways; it answers 503 until the link is back", REDIS, rounds=1,
     hits=("unanswered",), short=("redis-local",),
     options=lambda scene: {**linked(scene, "store_link", lambda n: n == 0), "gateways": 2})
def partition_gateway(scene):
    before = scene.unknown_calls()
    busy_holder(scene)
    with scene.blow(since="end"):
        for proxy in scene.proxies:
            proxy.hole = True
        time.sleep(PARTITION)
        for proxy in scene.proxies:
            proxy.hole = False
    scene.settle()
    scene.hit("unanswered", scene.unknown_calls() - before)
