"""Words of the command line to a verb, and errors to sentences and exit codes."""

from __future__ import annotations

import argparse
import difflib
import sys
from typing import Any, NoReturn, Sequence

from ..client import Client
from ..errors import NotFound, RequestRefused, ServerUnreachable, TreadleError
from . import bench, completion, doctor, fn, run, service, task
from .output import Usage, say

OK, FAILED, USAGE, NOT_FOUND, UNREACHABLE, TIMED_OUT, INTERRUPTED = 0, 1, 2, 3, 5, 124, 130
EPILOG = """\
Exit codes: 0 done, 1 the task or the operation failed, 2 wrong usage, 3 there is no such function or task,
5 no answer from the server, 124 not done in time, 130 interrupted.
The server: --url, else TREADLE_URL, else http://127.0.0.1:8000.
"""
MODULES = (run, fn, task, service, doctor, bench, completion)


class Parser(argparse.ArgumentParser):
    """Help with examples first, and errors that name the nearest word that there is."""

    def __init__(self, *, examples: str = "", **more: Any):
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **more)
        self.examples = examples

    def format_help(self) -> str:
        examples = "".join(f"  {line}\n" for line in self.examples.strip().splitlines())
        text = super().format_help()
        return f"{examples}\n{text}" if examples else text

    def error(self, message: str) -> NoReturn:
        words = [word for action in self._actions for word in action.option_strings]
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                words += list(action.choices)
        wrong = message.split("'")[1] if "'" in message else message.rpartition(" ")[2]
        near = difflib.get_close_matches(wrong, words, 1)
        hint = f"; did you mean {near[0]!r}?" if near and near[0] != wrong else ""
        say(f"{self.prog}: {message}{hint}  (see {self.prog} --help)")
        raise SystemExit(USAGE)


def parser() -> Parser:
    common = Parser(add_help=False)
    common.add_argument("--url", help="of the server (default: TREADLE_URL, or http://127.0.0.1:8000)")
    common.add_argument("--json", action="store_true", help="print JSON, as the API has it")
    top = Parser(
        prog="treadle",
        examples="treadle run work.py::area 2.5      treadle invoke area -a 2.5      treadle task ls",
        epilog=EPILOG,
    )
    verbs = top.add_subparsers(dest="verb", metavar="VERB", required=True, parser_class=Parser)
    for module in MODULES:
        module.add(verbs, common)
    return top


def parsed(parser: Parser, words: Sequence[str]) -> argparse.Namespace:
    """argparse gives up on arguments of a call that stand behind a flag: `run work.py::area --json 2.5`."""
    args, more = parser.parse_known_args(words)
    if more and (args.verb != "run" or any(word.startswith("--") for word in more)):
        parser.error(f"unrecognized arguments: {' '.join(more)}")
    if more:
        args.args += more
    return args


def main(words: Sequence[str]) -> int:
    """Runs one command line; returns its exit code."""
    try:
        args = parsed(parser(), words)
    except SystemExit as leave:
        return int(leave.code or 0)
    try:
        if getattr(args, "needs_parser", False):
            return int(args.do(args, parser()))
        if getattr(args, "needs_no_server", False):
            return int(args.do(args))
        with Client(args.url, retry_for=0) as client:
            return int(args.do(args, client))
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # who read our output has enough
        return OK
    except Exception as error:
        return told(error)


def told(error: Exception) -> int:
    """Says what is wrong, and returns the exit code of that. Faults of our own are raised."""
    codes = ((Usage, USAGE), (NotFound, NOT_FOUND), (ServerUnreachable, UNREACHABLE), (TimeoutError, TIMED_OUT))
    for kind, code in codes:
        if isinstance(error, kind):
            say(f"treadle: {error}")
            return code
    if isinstance(error, RequestRefused) and error.status in (502, 503):
        say(f"treadle: {error}")
        return UNREACHABLE
    if isinstance(error, (TreadleError, ValueError)):
        say(f"treadle: {error}")
        return USAGE if isinstance(error, ValueError) else FAILED
    raise error
