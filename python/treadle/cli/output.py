"""What people and programs read: data on stdout, all else on stderr."""

from __future__ import annotations

import json
import os
import sys
from typing import Any, Iterable, Sequence

_COLOURS = {"COMPLETED": 32, "RUNNING": 36, "FAILED": 31, "ready": 32, "draining": 33, "lost": 31, "ok": 32, "bad": 31, "note": 33}


class Usage(Exception):
    """A wrong command line, as a sentence."""


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def as_json(value: Any) -> None:
    print(json.dumps(value, ensure_ascii=False))


def coloured(word: str, stream: Any = None) -> str:
    """The word as it is, or in its colour where somebody looks who wants colours."""
    stream = stream or sys.stdout
    wanted = os.environ.get("CLICOLOR_FORCE", "0") not in ("", "0")
    refused = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    if word not in _COLOURS or refused or not (wanted or stream.isatty()):
        return word
    return f"\x1b[{_COLOURS[word]}m{word}\x1b[0m"


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Columns under their heads, as wide as what is in them; None is a dash."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max([len(name), *(len(row[i]) for row in cells)]) for i, name in enumerate(head)]
    lines = ["  ".join(name.upper().ljust(width) for name, width in zip(head, widths)).rstrip()]
    for row in cells:
        padded = (coloured(word) + " " * (width - len(word)) for word, width in zip(row, widths))
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, float):
        return f"{value:.3f}"
    return str(value).replace("\n", " ")


def shown(value: Any) -> str:
    """A result for people: text as it is, JSON if it is that, else as Python writes it."""
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        return repr(value)


def plain(value: Any) -> Any:
    """A result in JSON; what JSON cannot carry becomes {"repr": ...}."""
    try:
        json.dumps(value)
        return value
    except (TypeError, ValueError):
        return {"repr": repr(value)}


def given(text: str) -> Any:
    """A word of the command line: the JSON value that it is, or else itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def pairs(texts: Iterable[str], flag: str) -> dict[str, Any]:
    """k=v words."""
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise Usage(f"{flag} takes NAME=VALUE, not {text!r}")
        found[name] = given(value)
    return found
