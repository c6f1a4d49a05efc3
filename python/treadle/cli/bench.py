"""treadle bench: how fast this server is, from here."""

from __future__ import annotations

import argparse
import time
from typing import Any

from ..client import Client
from ..futures import Future
from .output import Usage, as_json, table

_WARM = 20  # calls before those that are measured
_PROBES = 100  # calls one after the other, for the latency


def add(verbs: Any, common: argparse.ArgumentParser) -> None:
    bench = verbs.add_parser("bench", parents=[common], help="measure this server: throughput, and latency of one call after the other",
                             examples="treadle bench\ntreadle bench sleep -n 1000 --ms 10 --json")  # fmt: skip
    bench.add_argument("what", nargs="?", choices=("noop", "sleep"), default="noop")
    bench.add_argument("-n", dest="count", type=int, default=5000, help="calls (default: 5000)")
    bench.add_argument("--ms", type=float, default=10, help="of each sleep (default: 10)")
    bench.set_defaults(do=do_bench)


def _function(what: str, ms: float) -> Any:
    """Nested, so that it travels by value: a worker need not have this package."""

    def noop(_: int) -> None:
        return None

    def sleeper(_: int) -> None:
        import time

        time.sleep(ms / 1000)

    return noop if what == "noop" else sleeper


def do_bench(args: argparse.Namespace, client: Client) -> int:
    if args.count < 1 or args.ms < 0:
        raise Usage("-n takes 1 or more, and --ms 0 or more")
    function = client.register(_function(args.what, args.ms), name=f"bench_{args.what}")
    _all(client.submit_many(function, ((n,) for n in range(_WARM))))
    latencies = sorted(_timed(client, function) for _ in range(min(_PROBES, args.count)))
    begun = time.perf_counter()
    futures = client.submit_many(function, ((n,) for n in range(args.count)))
    client.wait_accepted()
    accepted = time.perf_counter() - begun
    _all(futures)
    ended = time.perf_counter() - begun
    figures = {
        "what": args.what, "calls": args.count, "accepted_per_s": round(args.count / accepted, 1), "per_s": round(args.count / ended, 1),
        **{f"p{p}_ms": round(1000 * latencies[min(len(latencies) - 1, len(latencies) * p // 100)], 3) for p in (50, 95, 99)},
    }  # fmt: skip
    as_json(figures) if args.json else print(table(list(figures), [list(figures.values())]))
    return 0


def _all(futures: list[Future[Any]]) -> None:
    for future in futures:
        future.result()


def _timed(client: Client, function: Any) -> float:
    begun = time.perf_counter()
    client.submit(function, 0).result()
    return time.perf_counter() - begun
