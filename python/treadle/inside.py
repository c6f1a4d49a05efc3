"""For code that runs as a task: the same three names that a worker offers where this package is not installed."""

from __future__ import annotations

import sys
from typing import Any

_OFFERED = "_treadle_task"  # by the executor


def _inside() -> Any:
    module = sys.modules.get(_OFFERED)
    if module is None:
        raise RuntimeError("this code is not running inside a Treadle task")
    return module


def current_task() -> Any:
    """The running task: id, attempt, deadline, remaining(), cancelled."""
    return _inside().current_task()


def progress(fraction: float | None = None, note: str = "") -> None:
    """Tells who looks at the task how far it is: a number from 0 to 1, or None, and a few words (1,024 bytes are kept).

    It is shown while the task runs and kept nowhere. What is told more than ten times a second, after the first twenty, is dropped.
    """
    _inside().progress(fraction, note)


def log(*values: object) -> None:
    """Writes a line with the time to the task's output."""
    _inside().log(*values)
