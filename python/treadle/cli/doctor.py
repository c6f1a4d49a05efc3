"""treadle doctor and config: what is wrong here, and what is set."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any, Iterator

from .._http import Transport
from ..client import DEFAULT_URL
from ..errors import TreadleError
from .output import as_json, coloured

_PATIENCE = 5.0  # seconds for the server to answer a question of doctor
_FILES = 4096  # open files that a busy client or server may want


def add(verbs: Any, common: argparse.ArgumentParser) -> None:
    doctor = verbs.add_parser("doctor", parents=[common], help="look for what is wrong: Python, server, workers; 1 if something is")
    doctor.set_defaults(do=do_doctor, needs_no_server=True)
    config = verbs.add_parser("config", help="what this client would use, and why")
    kinds = config.add_subparsers(dest="kind", metavar="WHAT", required=True, parser_class=type(config))
    show = kinds.add_parser("show", parents=[common], help="each setting, and where it comes from")
    show.set_defaults(do=do_config, needs_no_server=True)


def do_doctor(args: argparse.Namespace) -> int:
    """One line for each thing looked at: ok, note, or bad with what to do."""
    found = [*_python(), *_limits(), *_server(_url(args)[0])]
    if args.json:
        as_json([dict(zip(("verdict", "about", "says"), one)) for one in found])
    else:
        for verdict, about, says in found:
            print(f"{coloured(verdict):4}  {about:10}  {says}")
    return 1 if any(verdict == "bad" for verdict, _, _ in found) else 0


def _python() -> Iterator[tuple[str, str, str]]:
    yield "ok", "python", "{}.{}.{} ({})".format(*sys.version_info[:3], sys.executable)
    for name, needed in (("cloudpickle", True), ("dill", False)):
        try:
            yield "ok", name, str(__import__(name).__version__)
        except ImportError:
            if needed:
                yield "bad", name, f"this Python cannot import it, and functions need it: {sys.executable} -m pip install {name}"
            else:
                yield "note", name, "not installed; only clients that speak the seed's routes themselves need it"


def _limits() -> Iterator[tuple[str, str, str]]:
    try:
        import resource
    except ImportError:  # Windows
        return
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    few = files < _FILES and files != resource.RLIM_INFINITY
    yield ("note" if few else "ok"), "open files", f"at most {files}" + (f"; raise it with ulimit -n {_FILES}" if few else "")


def _server(url: str) -> Iterator[tuple[str, str, str]]:
    try:
        transport = Transport(url, _PATIENCE)
        told = transport.call("GET", "/version")
    except (TreadleError, ValueError) as error:
        yield "bad", "server", str(error)
        return
    yield "ok", "server", f"Treadle {told['version']} at {url}, mode {told['mode'] or '-'}"
    level = told["durability"]
    note = "" if level in ("power", "process") else "; what was accepted does not survive a crash: see docs/guarantees.md"
    yield ("note" if note else "ok"), "store", f"{told['store']}; durable at level {level!r}{note}"
    yield from _workers(transport)
    transport.close()


def _workers(transport: Transport) -> Iterator[tuple[str, str, str]]:
    try:
        rows = [row for row in transport.call("GET", "/v1/workers")["workers"] if row["state"] != "lost"]
    except TreadleError as error:
        yield "bad", "workers", str(error)
        return
    slots = sum(row["slots"] for row in rows)
    if not rows:
        yield "bad", "workers", "there is none, so nothing runs: treadle worker push|pull SLOTS tcp://HOST:PORT, or treadle serve"
        return
    yield "ok", "workers", f"{len(rows)} with {slots} slots"
    ours = "{}.{}".format(*sys.version_info[:2])
    theirs = sorted({text.rpartition(".")[0] for row in rows for text in row["python"]})
    if ours in theirs:
        yield "ok", "versions", f"workers run Python {', '.join(theirs)}; so does this client"
    else:
        yield "bad", "versions", (
            f"workers run Python {', '.join(theirs)}, and this client {ours}: bytecode does not travel between them. Start a worker with "
            f"--python of {ours}, run this client on {theirs[0] if theirs else 'theirs'}, or send functions as source"
        )


def _url(args: argparse.Namespace) -> tuple[str, str]:
    if args.url:
        return args.url, "--url"
    if os.environ.get("TREADLE_URL"):
        return os.environ["TREADLE_URL"], "TREADLE_URL"
    return DEFAULT_URL, "default"


def do_config(args: argparse.Namespace) -> int:
    url, origin = _url(args)
    settings: list[dict[str, Any]] = [{"name": "url", "value": url, "origin": origin}, {"name": "python", "value": sys.executable, "origin": _python_origin()}]
    for name in ("NO_COLOR", "CLICOLOR_FORCE"):
        settings.append({"name": name, "value": os.environ.get(name), "origin": "environment" if name in os.environ else "default"})
    if args.json:
        as_json(settings)
    else:
        for one in settings:
            print(f"{one['name']:16}{one['value'] or '-':40}  ({one['origin']})")
    return 0


def _python_origin() -> str:
    return "TREADLE_PYTHON" if os.environ.get("TREADLE_PYTHON") else "python3 on PATH"
