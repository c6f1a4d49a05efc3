"""A history: what clients asked and heard, when user code ran, how the store's log went, and what it holds at the end.

All instants are seconds of this machine's monotonic clock, which every process reads alike.
"""

import dataclasses

TERMINAL = ("COMPLETED", "FAILED")


@dataclasses.dataclass
class Intent:
    """A task that a client wants, once. `key` is its argument, so that runs and results name it."""

    key: int
    seconds: float = 0
    raises: bool = False
    once: bool = False  # at-most-once
    idem: str = ""  # its idempotency key, under which it may be sent several times


@dataclasses.dataclass
class Call:
    """One request: `outcome` is ok, refused (a definite no), or unknown (no answer, or a fault of the server)."""

    op: str  # submit, conflict (another body under a used key), look, cancel
    key: int
    begun: float
    ended: float
    outcome: str
    task: str = ""
    status: str = ""  # a look: the public status, or 404; a cancel: the HTTP status
    result: str = ""  # a look at a task that ended: its result as sent


@dataclasses.dataclass
class Run:
    """One run of user code; `ended` is None if its process died first."""

    key: int
    nonce: str
    pid: int
    started: float
    ended: float = None
    attempt: int = 0  # its number, 0 = unknown. It grows, but a crash of the embedded store may give it again


@dataclasses.dataclass
class Change:
    """A line of the store's log: QUEUED, CLAIMED, RUNNING, COMPLETED, FAILED, or WIPED (all is gone)."""

    task: str
    status: str
    token: str = ""


@dataclasses.dataclass
class Final:
    """What the store holds at the end. `value` is [key, nonce] of the result or of the error's text, None without."""

    task: str
    status: str
    kind: str = ""
    value: list = None
    idem: bool = False


@dataclasses.dataclass
class Blow:
    """A fault lasted so long. Its effects may come until `until`: a lease ends seconds after a worker's death."""

    name: str
    begun: float
    ended: float
    until: float
    wipes: bool = False  # all that was accepted before its end may be gone


@dataclasses.dataclass
class History:
    intents: dict = dataclasses.field(default_factory=dict)  # key -> Intent
    calls: list = dataclasses.field(default_factory=list)
    runs: list = dataclasses.field(default_factory=list)  # in the order of their starts
    changes: list = dataclasses.field(default_factory=list)  # in the order of the store
    finals: dict = dataclasses.field(default_factory=dict)  # task -> Final
    blows: list = dataclasses.field(default_factory=list)
    restarts: list = dataclasses.field(default_factory=list)  # when the embedded store began anew, and with it attempt numbers
    logged: bool = True  # whether `changes` is whole
    claims_logged: bool = True  # whether every claim is in it (Redis), or only those that were written (SQLite)

    def follows(self, run, other):
        """Whether the run's attempt was given out after the other's: by its number, if numbers tell. Where they began anew since the
        task was wanted, only if its start is later too: a worker may begin an old attempt late."""
        if not run.attempt or not other.attempt or run.attempt == other.attempt:
            return run.started > other.started
        wanted = min((call.begun for call in self.calls if call.op == "submit" and call.key == run.key), default=0)
        anew = any(wanted < restart < max(run.started, other.started) for restart in self.restarts)
        return run.attempt > other.attempt and (not anew or run.started > other.started)
