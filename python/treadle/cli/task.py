"""treadle task: what became of calls."""

from __future__ import annotations

import argparse
import time
from typing import Any

from ..client import Client
from ..errors import RequestRefused, TreadleError
from ..group import selected
from .loading import newest
from .output import Usage, as_json, say, table
from .run import report

_SHOWN = 20  # rows of a list, unless another number is asked for
_HOLD = 30  # seconds for which the server is asked to hold an answer


def add(verbs: Any, common: argparse.ArgumentParser) -> None:
    task = verbs.add_parser("task", help="tasks: ls, show, wait, result, logs, cancel, retry",
                            examples="treadle task ls --status FAILED\ntreadle task wait ID && treadle task result ID")  # fmt: skip
    kinds = task.add_subparsers(dest="kind", metavar="WHAT", required=True, parser_class=type(task))
    ls = kinds.add_parser("ls", parents=[common], help="list them, newest first")
    ls.add_argument("--status", type=str.upper, choices=("QUEUED", "RUNNING", "COMPLETED", "FAILED"))
    ls.add_argument("--fn", metavar="NAME|ID", help="only calls of this function")
    ls.add_argument("--group", help="only those submitted under this name")
    ls.add_argument("--limit", type=int, default=_SHOWN, help=f"rows (default: {_SHOWN})")
    ls.set_defaults(do=do_ls)
    for kind, about, do, many in (
        ("show", "all that is known of one", do_show, False),
        ("wait", "until all have ended; 1 if one failed", do_wait, True),
        ("result", "wait for one, and print its result", do_result, False),
        ("logs", "what one wrote to stdout and stderr", do_logs, False),
    ):
        one = kinds.add_parser(kind, parents=[common], help=about)
        one.add_argument("tasks" if many else "task", nargs="+" if many else None, metavar="ID")
        if kind in ("wait", "result"):
            one.add_argument("--timeout", type=float, metavar="SECONDS", help="to wait here; then 124")
        if kind == "logs":
            one.add_argument("-f", "--follow", action="store_true", help="what it writes while it runs, until it has ended")
        one.set_defaults(do=do)
    for kind, about, do, states in (
        ("cancel", "end them, also those that run", do_cancel, ("QUEUED", "RUNNING")),
        ("retry", "submit those that FAILED again, each as a new task", do_retry, ("FAILED",)),
    ):
        one = kinds.add_parser(kind, parents=[common], help=about, examples=f"treadle task {kind} --group night --dry-run")
        one.add_argument("tasks", nargs="*", metavar="ID", help="these; or all that match the filters")
        one.add_argument("--status", type=str.upper, choices=states)
        one.add_argument("--fn", metavar="NAME|ID", help="calls of this function")
        one.add_argument("--group", help="those submitted under this name")
        one.add_argument("--queue", help="those of this queue")
        one.add_argument("--created-after", metavar="TIME", help="accepted then or later, like 2026-11-25T18:07:46Z")
        one.add_argument("--created-before", metavar="TIME", help="accepted earlier")
        one.add_argument("--all", action="store_true", help="every one")
        one.add_argument("--dry-run", action="store_true", help="only say how many match the filters")
        one.set_defaults(do=do)


_FILTERS = ("status", "group", "queue", "created_after", "created_before")


def filters_of(args: argparse.Namespace, client: Client) -> dict[str, Any] | None:
    """The body of a request for all that match; None: ids were named."""
    body: dict[str, Any] = {name: getattr(args, name) for name in _FILTERS if getattr(args, name)}
    if args.fn:
        body["function_id"] = newest(client, args.fn)["function_id"]
    if args.all:
        body["all"] = True
    if bool(body) == bool(args.tasks):
        raise Usage("name tasks by their ids, or all that match filters: --group, --fn, --queue, --status, --created-before; or --all")
    if args.tasks and args.dry_run:
        raise Usage("--dry-run counts what filters match; leave out the ids")
    return {**body, "dry_run": args.dry_run} if body else None


def do_ls(args: argparse.Namespace, client: Client) -> int:
    filters = {}
    if args.status:
        filters["state"] = args.status
    if args.group:
        filters["group"] = args.group
    if args.fn:
        filters["function_id"] = newest(client, args.fn)["function_id"]
    rows = list(client.tasks(limit=args.limit, **filters))
    if args.json:
        as_json(rows)
    else:
        head = ("task_id", "status", "attempts", "error_kind", "function_id")
        print(table(("id", "status", "attempts", "error", "function"), ([row[name] for name in head] for row in rows)))
    return 0


def do_show(args: argparse.Namespace, client: Client) -> int:
    told = client._transport.call("GET", f"/v1/tasks/{args.task}")
    if args.json:
        as_json(told)
        return 0
    for name, value in told.items():
        if isinstance(value, dict):
            value = ", ".join(f"{key}={what}" for key, what in value.items() if what is not None and key != "traceback")
        print(f"{name:18}{'-' if value is None or value == '' else str(value).rstrip()}")
    if told["error"] and told["error"].get("traceback"):
        print("\n" + told["error"]["traceback"].rstrip())
    return 0


def do_wait(args: argparse.Namespace, client: Client) -> int:
    deadline = None if args.timeout is None else time.monotonic() + args.timeout
    left, ended = dict.fromkeys(args.tasks), []
    while left:
        hold = _HOLD if deadline is None else max(0.0, min(_HOLD, deadline - time.monotonic()))
        body = {"task_ids": list(left), "wait": hold}
        told = client._transport.call("POST", "/v1/tasks:wait", body, wait=hold)
        if told["missing"]:
            client._transport.call("GET", f"/v1/tasks/{told['missing'][0]}")  # which says so
        for row in told["tasks"]:
            left.pop(row["task_id"], None)
            ended.append(row)
        if left and deadline is not None and time.monotonic() >= deadline:
            raise TimeoutError(f"{len(left)} of {len(args.tasks)} tasks have not ended in time")
    if args.json:
        as_json(ended)
    else:
        print(table(("id", "status"), ([row["task_id"], row["status"]] for row in ended)))
    return 1 if any(row["status"] == "FAILED" for row in ended) else 0


def do_result(args: argparse.Namespace, client: Client) -> int:
    return report(client.future(args.task), args.json, args.timeout, logs=False)


def do_logs(args: argparse.Namespace, client: Client) -> int:
    if args.follow:
        if args.json:
            raise TreadleError("--follow prints what the task writes as it is; leave --json out")
        for text in client._transport.stream(f"/v1/tasks/{args.task}/logs?follow=1"):
            print(text, end="", flush=True)
        return 0
    told = client._transport.call("GET", f"/v1/tasks/{args.task}/logs")
    if args.json:
        as_json(told)
    else:
        print(told["output"], end="")
        if not told["final"]:
            say(f"treadle: task {args.task} has not ended; its output is kept when it does")
    return 0


def do_cancel(args: argparse.Namespace, client: Client) -> int:
    body = filters_of(args, client)
    if body is not None:
        told = selected(client, "cancel", body)
        if args.json:
            as_json(told)
        elif args.dry_run:
            print(f"{told['matched']:,} tasks would be cancelled")
        else:
            print(f"{told['cancelled']:,} cancelled, {told['requested']:,} being ended by their workers, {told['ended']:,} had ended")
        return 0
    outcomes, code = [], 0
    for task in args.tasks:
        try:
            told = client._transport.call("DELETE", f"/v1/tasks/{task}")
            outcomes.append({"task_id": task, "status": told.get("status"), "cancelled": True})
        except RequestRefused as error:
            if error.status != 409:
                raise
            say(f"treadle: {error.detail}")
            outcomes.append({"task_id": task, "status": None, "cancelled": False})
            code = 1
    if args.json:
        as_json(outcomes)
    else:
        for one in outcomes:
            print(f"{one['task_id']}  {'cancelled' if one['cancelled'] else 'had ended'}")
    return code


def do_retry(args: argparse.Namespace, client: Client) -> int:
    body = filters_of(args, client)
    if body is not None:
        told = selected(client, "retry", body)
    else:
        again = [client._transport.call("POST", f"/v1/tasks/{task}/retry") for task in args.tasks]
        repeated = sum(one["repeated"] for one in again)
        told = {"matched": len(again), "retried": len(again) - repeated, "repeated": repeated, "refused": 0, "error": None, "tasks": again}
    if args.json:
        as_json(told)
    elif args.dry_run:
        print(f"{told['matched']:,} tasks would be retried, but for those that were before")
    else:
        if not body:
            print(table(("task", "new task"), ([one["task_id"], one["new_task_id"]] for one in told["tasks"])))
        print(f"{told['retried']:,} retried, {told['repeated']:,} had been before, {told['refused']:,} refused")
    if told["error"]:
        say(f"treadle: {told['error']}")
    return 1 if told["refused"] else 0
