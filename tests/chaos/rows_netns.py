"""What a real link does to a worker on another machine: it goes down, or loses all packets of one direction.

The worker is in a network namespace of its own (netns.py). Its kernel keeps the connections and repeats what was lost, as
no proxy does: a TCP connection may outlive the fault, or end with an error long after it.
"""

import time

import netns
from client import eventually
from rows import APART, row
from rows_kill import LATE_STARTS

LONG, SHORT = 30, 6  # seconds: three leases, and less than one
ONE_WAY = 15  # more than a lease


def apart(scene):
    """Options of a rig whose first worker is in a namespace; the second, like all else, is here."""
    island = scene.island = netns.Island()
    scene.closing.callback(island.close)
    return {"worker_host": island.address, "worker_wrap": lambda n: island.wrap if n == 0 else ()}


def link_down(scene, seconds, since):
    island = scene.island
    scene.hit("in_flight", scene.busy(scene.rig.roles["worker"][0]))
    before = island.carrier_losses()
    with scene.blow(since=since):
        island.link_down()
        time.sleep(seconds)
        scene.hit("carrier_lost", island.carrier_losses() - before)
        island.link_up()
    scene.settle()
    works_again(scene)


def works_again(scene):
    """The worker is given tasks as before."""
    assert scene.busy(scene.rig.roles["worker"][0], 60)


@row("worker's link down 30 s", "in a network namespace: for three leases; it runs on, and comes back", APART,
     options=apart, why_not=netns.why_not, rounds=1, lasts=LONG, hits=("in_flight", "carrier_lost", "requeued"),
     short=("redis-push",), excused=LATE_STARTS)
def link_down_long(scene):
    link_down(scene, LONG, "begin")


@row("worker's link down 6 s", "in a network namespace: for less than a lease", APART, options=apart,
     why_not=netns.why_not, rounds=1, lasts=SHORT, hits=("in_flight", "carrier_lost"), short=("sqlite-pull",),
     excused=LATE_STARTS)
def link_down_briefly(scene):
    link_down(scene, SHORT, "end")


def one_way(scene, inbound):
    island = scene.island
    scene.hit("in_flight", scene.busy(scene.rig.roles["worker"][0]))
    with scene.blow():
        sent = island.packets_out(inbound)
        island.lose(inbound)
        time.sleep(ONE_WAY)
        scene.hit("packets_lost", island.packets_out(inbound) - sent)
        island.heal(inbound)
    scene.settle()
    works_again(scene)


@row("worker hears nothing", "in a network namespace: all packets to it are lost for 15 s, those from it arrive", APART,
     options=apart, why_not=netns.why_not, rounds=1, lasts=ONE_WAY, hits=("in_flight", "packets_lost"),
     short=("redis-pull",), excused=LATE_STARTS)
def deaf(scene):
    one_way(scene, inbound=True)


@row("worker is not heard", "in a network namespace: all packets from it are lost for 15 s, those to it arrive", APART,
     options=apart, why_not=netns.why_not, rounds=1, lasts=ONE_WAY, hits=("in_flight", "packets_lost", "requeued"),
     short=("sqlite-push",), excused=LATE_STARTS)
def mute(scene):
    one_way(scene, inbound=False)
    eventually(lambda: scene.totals.total["requeued"] > 0, 20)
