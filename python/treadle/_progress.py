"""progress=True: tqdm's bar where it is installed, else one line that is written again, and nothing where nobody looks."""

from __future__ import annotations

import sys
import time
import warnings
from typing import Any, Iterable, Iterator, Sequence, TypeVar

R = TypeVar("R")

_INTERVAL = 0.1  # seconds between two writings of the line


def with_progress(results: Iterable[R], sources: Sequence[Any], progress: bool) -> Iterator[R]:
    if not progress:
        return iter(results)
    total = min((len(source) for source in sources if hasattr(source, "__len__")), default=None)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # in a notebook without ipywidgets it asks for them; its bar of text will do
            from tqdm.auto import tqdm  # type: ignore[import-untyped,unused-ignore]
    except ImportError:
        return _line(results, total) if sys.stderr.isatty() else iter(results)
    return iter(tqdm(results, total=total, unit="call"))


def _line(results: Iterable[R], total: int | None) -> Iterator[R]:
    begun = shown = time.monotonic()
    count = 0

    def show() -> None:
        of = f" of {total}" if total is not None else ""
        sys.stderr.write(f"\r{count}{of} calls, {count / max(0.001, time.monotonic() - begun):,.0f}/s\x1b[K")
        sys.stderr.flush()

    try:
        for result in results:
            count += 1
            if time.monotonic() - shown > _INTERVAL:
                shown = time.monotonic()
                show()
            yield result
    finally:
        show()
        sys.stderr.write("\n")
