"""Group: the tasks that were submitted under one name, by whatever process."""

from __future__ import annotations

import json
import time
import urllib.parse
from typing import TYPE_CHECKING, Any, Iterator

from .errors import RequestRefused, ServerUnreachable
from .futures import Future

if TYPE_CHECKING:
    from .client import Client

_SILENCE = 60.0  # seconds without a byte, then the connection is taken for broken; the server sends one every 15
_SLOWEST_RETRY = 1.0  # seconds between two tries


class _Broken(Exception):
    """The stream ended before its end; it goes on with the cursor."""


class Group:
    """The tasks of one group: `client.map(f, items, group="night")` here, `client.group("night").results()` there.

    `cursor`: of the result that results() gave last; a later Group that is given it goes on after that one.
    """

    def __init__(self, client: Client, name: str, cursor: str = ""):
        if not name or "/" in name:
            raise ValueError(f"{name!r} is not the name of a group whose results can be had: it is empty or has a '/'")
        self._client = client
        self.name = name
        self.cursor = cursor

    def results(self, *, follow: bool = False) -> Iterator[Future[Any]]:
        """The futures of its tasks, each when it has ended, in that order; then the end, when all that the server has have
        ended. `follow`: no end, further tasks may come. NotFound: there are none. A server that is away is tried again
        for the client's `retry_for` seconds.
        """
        pause, deadline = 0.02, None
        while True:
            try:
                for event in self._events(follow):
                    pause, deadline = 0.02, None
                    if "task_id" in event:
                        future = self._future(event)
                        self.cursor = event["cursor"]
                        yield future
                    elif event["end"] == "finished":
                        return
                    else:
                        raise _Broken(event.get("detail", "the service stops"))
                raise _Broken("the connection was closed")
            except (_Broken, ServerUnreachable, RequestRefused) as error:
                if isinstance(error, RequestRefused) and error.status not in (429, 502, 503):
                    raise
                now = time.monotonic()
                deadline = deadline or now + float(self._client._how["retry_for"])
                if now + pause > deadline:
                    if isinstance(error, RequestRefused):
                        raise
                    raise ServerUnreachable(
                        f"{self._client.url} has not given the results of group {self.name!r} ({error or type(error).__name__}); "
                        "Group.cursor tells how far they came"
                    ) from error
                time.sleep(pause)
                pause = min(_SLOWEST_RETRY, pause * 2)

    def cancel(self, *, dry_run: bool = False) -> int:
        """Cancels all that have not ended; how many those are. `dry_run`: only counts them."""
        return int(selected(self._client, "cancel", {"group": self.name, "dry_run": dry_run})["matched"])

    def retry(self, *, dry_run: bool = False) -> int:
        """Submits those that FAILED again, into the same group, each once; how many new tasks that makes."""
        told = selected(self._client, "retry", {"group": self.name, "dry_run": dry_run})
        return int(told["matched"] if dry_run else told["retried"])

    def __repr__(self) -> str:
        return f"<treadle.Group {self.name!r} at {self._client.url}>"

    # ---- inside ----

    def _future(self, event: dict[str, Any]) -> Future[Any]:
        text, task_id = event["result"], event["task_id"]
        if text is None:  # too large to come with others
            text = self._client._transport.call("GET", f"/result/{task_id}")["result"]
        future: Future[Any] = Future(self._client, task_id=task_id)
        future._settle(event["status"], event["error"] and event["error"]["kind"], text)
        return future

    def _events(self, follow: bool) -> Iterator[dict[str, Any]]:
        query = {name: value for name, value in (("cursor", self.cursor), ("follow", "1" if follow else "")) if value}
        path = f"/v1/groups/{urllib.parse.quote(self.name, safe='')}/results?{urllib.parse.urlencode(query)}"
        rest = ""
        for text in self._client._transport.stream(path, _SILENCE):
            *lines, rest = (rest + text).split("\n")
            yield from (json.loads(line) for line in lines if line)


def selected(client: Client, verb: str, body: dict[str, Any]) -> dict[str, Any]:
    """tasks:cancel or tasks:retry for as many tasks as match, one request after the other; the sums of their answers."""
    sums: dict[str, Any] = {}
    while True:
        told = client._transport.call("POST", f"/v1/tasks:{verb}", body, repeatable=False)
        for name, value in told.items():
            if isinstance(value, (int, list)) and not isinstance(value, bool):
                sums[name] = sums.get(name, type(value)()) + value
        sums["error"] = sums.get("error") or told.get("error")
        if not told["next_cursor"]:
            return sums
        body = {**body, "cursor": told["next_cursor"]}
