"""treadle run, map and invoke: call functions."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any, Iterable, Iterator

from .._progress import with_progress
from ..client import Client
from ..errors import RequestRefused
from ..futures import Future
from .loading import at_name, at_server, from_file, is_file
from .output import Usage, as_json, given, pairs, plain, say, shown

_PAGE_WAIT = 60  # seconds that the server holds an answer at most


def add(verbs: Any, common: argparse.ArgumentParser) -> None:
    run = verbs.add_parser("run", parents=[common], help="run a function of a file and print its result",
                           examples="treadle run work.py::area 2.5\ntreadle run work.py::area --arg r=2.5 --time-limit 60")  # fmt: skip
    run.add_argument("function", metavar="FILE.py::NAME")
    run.add_argument("args", nargs="*", metavar="ARG", help="JSON values, or else text")
    run.add_argument("--arg", action="append", default=[], metavar="NAME=VALUE", help="an argument by name")
    run.add_argument("--time-limit", type=float, metavar="SECONDS", help="of the run; then it is ended")
    run.add_argument("--timeout", type=float, metavar="SECONDS", help="to wait here; the task goes on")
    run.set_defaults(do=do_run)

    many = verbs.add_parser("map", parents=[common], help="run a function for each line of a file or of stdin",
                            examples="seq 1000 | treadle map work.py::area\ntreadle map area items.jsonl --json")  # fmt: skip
    many.add_argument("function", metavar="FUNCTION", help="FILE.py::NAME, or the name or id of one at the server")
    many.add_argument("items", nargs="?", default="-", help="a file with a JSON value in each line (default: stdin)")
    many.add_argument("--group", help="a name under which the tasks are found again: treadle task ls --group")
    many.set_defaults(do=do_map)

    call = verbs.add_parser("invoke", parents=[common], help="call a function of the server with JSON arguments",
                            examples="treadle invoke area -a 2.5\ntreadle invoke area -k r=2.5 --no-wait")  # fmt: skip
    call.add_argument("function", metavar="NAME|ID", help="a name means its newest registration")
    call.add_argument("-a", dest="args", action="append", default=[], metavar="VALUE", help="the next argument")
    call.add_argument("-k", dest="named", action="append", default=[], metavar="NAME=VALUE", help="an argument by name")
    call.add_argument("--input", metavar="JSON", help='the whole call: {"args": [2.5], "kwargs": {}}')
    call.add_argument("-f", dest="file", metavar="FILE", help="the whole call, from a file; - is stdin")
    call.add_argument("--no-wait", action="store_true", help="print the id of the task and go")
    call.add_argument("--timeout", type=float, default=3600, metavar="SECONDS", help="to wait here; the task goes on (3600)")
    call.set_defaults(do=do_invoke)


# ---- run -----------------------------------------------------------------------------------------------------------


def do_run(args: argparse.Namespace, client: Client) -> int:
    function = client.register(from_file(args.function))
    if args.time_limit is not None:
        function = function.options(time_limit=args.time_limit)
    future = function.submit(*map(given, args.args), **pairs(args.arg, "--arg"))
    try:
        return report(future, args.json, args.timeout)
    except KeyboardInterrupt:
        future.terminate()
        say(f"treadle: interrupted; task {future.task_id} is cancelled")
        raise


def report(future: Future[Any], json_wanted: bool, timeout: float | None, logs: bool = True) -> int:
    """Waits for a task, and prints what came of it. 0, or 1 if it failed."""
    error = future.exception(timeout)
    if isinstance(error, RequestRefused):
        raise error  # there is no such task
    if logs and not json_wanted:
        sys.stderr.write(future.logs())
    if error is not None:
        if json_wanted:
            as_json({"task_id": future.task_id, "status": "FAILED", "error": _error(error)})
        say(f"treadle: task {future.task_id} failed: {_words(error)}")
        return 1
    value = future.result()
    if json_wanted:
        as_json({"task_id": future.task_id, "status": "COMPLETED", "result": plain(value)})
    else:
        print(shown(value))
    return 0


def _error(error: BaseException) -> dict[str, Any]:
    return {"type": type(error).__name__, "message": str(error), "traceback": str(error.__cause__ or "")}


def _words(error: BaseException) -> str:
    """With the traceback of the worker, if there is one."""
    return str(error.__cause__ or f"{type(error).__name__}: {error}")


# ---- map -----------------------------------------------------------------------------------------------------------


def do_map(args: argparse.Namespace, client: Client) -> int:
    function = client.register(from_file(args.function)) if is_file(args.function) else at_server(client, args.function)
    options = {"group": args.group} if args.group else {}
    futures = client.submit_many(function, ((item,) for item in _items(args.items)), **options)
    failed = 0
    for n, future in enumerate(with_progress(futures, [futures], sys.stderr.isatty())):
        error = future.exception()
        failed += error is not None
        if args.json:
            what = {"error": _error(error)} if error else {"result": plain(future.result())}
            as_json({"item": n, "task_id": future.task_id, "status": "FAILED" if error else "COMPLETED", **what})
        elif error:
            print("null")
            say(f"treadle: item {n}, task {future.task_id}: {type(error).__name__}: {error}")
        else:
            print(json.dumps(plain(future.result()), ensure_ascii=False))
    if failed:
        say(f"treadle: {failed} of {len(futures)} items failed")
    return 1 if failed else 0


def _items(name: str) -> Iterator[Any]:
    if name == "-":
        yield from _values(sys.stdin, "stdin")
        return
    try:
        with open(name, encoding="utf-8") as lines:
            yield from _values(lines, name)
    except OSError as error:
        raise Usage(f"the items cannot be read: {error}") from None


def _values(lines: Iterable[str], name: str) -> Iterator[Any]:
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield json.loads(line)
            except ValueError:
                raise Usage(f"line {number} of {name} is not a JSON value: {line.strip()[:80]}") from None


# ---- invoke --------------------------------------------------------------------------------------------------------


def do_invoke(args: argparse.Namespace, client: Client) -> int:
    wait = 0 if args.no_wait else min(args.timeout, _PAGE_WAIT)
    path = at_name(args.function, f"invoke?wait={wait:g}")
    try:
        answer = client._transport.call("POST", path, _call(args), wait=wait, repeatable=False)
        if "result" not in answer and not args.no_wait:
            answer = _wait(client, answer, args.timeout - wait)
    except RequestRefused as error:
        return _refused(error, args.json)
    if args.json:
        as_json(answer)
    else:
        print(answer["task_id"] if args.no_wait else shown(answer["result"]))
    return 0


def _call(args: argparse.Namespace) -> dict[str, Any]:
    if args.input is None and args.file is None:
        return {"args": [given(text) for text in args.args], "kwargs": pairs(args.named, "-k")}
    if args.args or args.named or (args.input is not None and args.file is not None):
        raise Usage("give the call once: by -a and -k, by --input, or by -f")
    try:
        text = args.input if args.input is not None else _text(args.file)
        call = json.loads(text)
    except OSError as error:
        raise Usage(f"the call cannot be read: {error}") from None
    except ValueError as error:
        raise Usage(f"the call is not JSON: {error}") from None
    if not isinstance(call, dict):
        raise Usage('the call is a JSON object: {"args": [...], "kwargs": {...}}')
    return call


def _text(name: str) -> str:
    if name == "-":
        return sys.stdin.read()
    with open(name, encoding="utf-8") as file:
        return file.read()


def _wait(client: Client, answer: dict[str, Any], left: float) -> dict[str, Any]:
    task = answer["task_id"]
    while left > 0:
        wait = min(left, _PAGE_WAIT)
        answer = client._transport.call("GET", f"/v1/tasks/{task}/result?wait={wait:g}", wait=wait)
        if "result" in answer:
            return answer
        left -= wait
    raise TimeoutError(f"task {task} has not ended in time; it goes on: treadle task wait {task}")


def _refused(error: RequestRefused, json_wanted: bool) -> int:
    """A task that failed is told with its traceback; anything else is no business of invoke."""
    failed = error.problem.get("error")
    if not failed and error.status != 406:
        raise error
    if json_wanted:
        as_json(error.problem)
    say("treadle: " + ((failed or {}).get("traceback") or error.detail))
    return 1
