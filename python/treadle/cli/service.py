"""treadle workers, queue and top: how the service is."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
import urllib.parse
from typing import Any

from ..client import Client
from .output import Usage, as_json, table

_EVERY = 1.0  # seconds between two looks of top


def add(verbs: Any, common: argparse.ArgumentParser) -> None:
    workers = verbs.add_parser("workers", parents=[common], help="who runs tasks")
    workers.set_defaults(do=do_workers)
    queue = verbs.add_parser("queue", parents=[common], help="how much waits, runs and has ended; pause and resume",
                             examples="treadle queue\ntreadle queue pause gpu")  # fmt: skip
    queue.set_defaults(do=do_queue)
    kinds = queue.add_subparsers(dest="kind", metavar="WHAT", parser_class=type(queue))
    for kind, about in (("pause", "give out nothing of it; what runs goes on"), ("resume", "go on with it")):
        one = kinds.add_parser(kind, parents=[common], help=about)
        one.add_argument("queue", metavar="QUEUE")
        one.set_defaults(do=do_pause)
    top = verbs.add_parser("top", parents=[common], help="queue, workers and the newest tasks, again and again",
                           examples="treadle top\ntreadle top -n 1 | head")  # fmt: skip
    top.add_argument("-d", dest="every", type=float, default=_EVERY, metavar="SECONDS", help=f"between two looks (default: {_EVERY:g})")
    top.add_argument("-n", dest="times", type=int, default=0, metavar="COUNT", help="looks; 0 is until Ctrl-C")
    top.set_defaults(do=do_top)


def do_workers(args: argparse.Namespace, client: Client) -> int:
    rows = client.workers()
    as_json(rows) if args.json else print(workers_table(rows))
    return 0


def workers_table(rows: list[dict[str, Any]]) -> str:
    head = ("worker", "state", "host", "pid", "mode", "python", "slots", "free", "running", "load")
    return table(head, ([
        row["worker_id"], row["state"], row["host"], row["pid"], row["mode"], ", ".join(row["python"]), row["slots"], row["slots_free"],
        row["running"], float(row["load"]),
    ] for row in rows))  # fmt: skip


def do_queue(args: argparse.Namespace, client: Client) -> int:
    stats = {**_stats(client), "queues": client._transport.call("GET", "/v1/queues")["queues"]}
    as_json(stats) if args.json else print(f"{stats_lines(stats)}\n\n{queues_table(stats['queues'])}")
    return 0


def queues_table(rows: list[dict[str, Any]]) -> str:
    head = ("queue", "queued", "running", "oldest s", "state")
    return table(head, ([
        row["name"], row["queued"], row["running"], row["oldest_seconds"], "paused" if row["paused"] else "open",
    ] for row in rows))  # fmt: skip


def do_pause(args: argparse.Namespace, client: Client) -> int:
    told = client._transport.call("POST", f"/v1/queues/{urllib.parse.quote(args.queue, safe='')}/{args.kind}")
    as_json(told) if args.json else print(f"queue {told['name']} is {'paused' if told['paused'] else 'open'}")
    return 0


def _stats(client: Client) -> dict[str, Any]:
    return client._transport.call("GET", "/v1/stats")  # type: ignore[no-any-return]


def stats_lines(stats: dict[str, Any]) -> str:
    now, ever, slots, workers = stats["tasks"], stats["ever"], stats["slots"], stats["workers"]
    return (
        f"waiting  {now['queued']:>12,}   of them later {now['delayed']:,}   arguments {stats['queue']['bytes']:,} bytes\n"
        f"running  {now['running']:>12,}   slots {slots['total']:,}, free {slots['free']:,}\n"
        f"ended    {ever['completed'] + ever['failed']:>12,}   COMPLETED {ever['completed']:,}, FAILED {ever['failed']:,}\n"
        f"workers  {workers['ready']:>12,}   draining {workers['draining']:,}, lost {workers['lost']:,}"
    )


def do_top(args: argparse.Namespace, client: Client) -> int:
    if args.every <= 0:
        raise Usage("-d takes a number of seconds above 0")
    looks, before = 0, None
    live = sys.stdout.isatty() and not args.json
    while True:
        stats, at = _stats(client), time.monotonic()
        if args.json:
            as_json({**stats, "tasks_per_s": _rate(stats, at, before)})
        else:
            page = _page(client, stats, _rate(stats, at, before))
            print(_fitted(page) if live else page + "\n", end="", flush=True)
        before, looks = (stats, at), looks + 1
        if looks == args.times:
            if live:
                print()
            return 0
        time.sleep(args.every)


def _rate(stats: dict[str, Any], at: float, before: tuple[dict[str, Any], float] | None) -> float | None:
    """Tasks that ended per second since the last look."""
    if before is None:
        return None
    ended = [look["ever"]["completed"] + look["ever"]["failed"] for look in (before[0], stats)]
    return float(round((ended[1] - ended[0]) / max(1e-9, at - before[1]), 1))


def _page(client: Client, stats: dict[str, Any], rate: float | None) -> str:
    told = client.version()
    head = f"Treadle {told['version']} at {client.url}: {told['store']}   {time.strftime('%H:%M:%S')}"
    speed = "" if rate is None else f"   {rate:,.1f} tasks/s"
    names = ("task_id", "status", "attempts", "error_kind")
    newest = ([row[name] for name in names] for row in client.tasks(limit=10))
    return "\n".join([
        head, "", stats_lines(stats) + speed, "", workers_table(client.workers()), "", table(("newest task", "status", "attempts", "error"), newest),
    ])  # fmt: skip


def _fitted(page: str) -> str:
    """For a terminal: from its upper left corner, over what was there, and no wider or longer than it is."""
    columns, rows = shutil.get_terminal_size()
    lines = [line if "\x1b" in line else line[: columns - 1] for line in page.splitlines()][: rows - 1]
    return "\x1b[H" + "".join(f"{line}\x1b[K\n" for line in lines) + "\x1b[J"
