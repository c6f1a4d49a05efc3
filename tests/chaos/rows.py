"""The rows of the table: which fault, on which cells, and how it is known that it struck."""

import dataclasses

SQLITE = ("sqlite-local", "sqlite-push", "sqlite-pull")
REDIS = ("redis-local", "redis-push", "redis-pull")
ALL = SQLITE + REDIS
APART = ("sqlite-push", "sqlite-pull", "redis-push", "redis-pull")  # workers are programs of their own
REDIS_APART = ("redis-push", "redis-pull")
ROWS = {}


@dataclasses.dataclass
class Row:
    """`strike(scene)` is one round of the fault. Each name in `hits` must be above 0 in the end."""

    name: str
    about: str
    cells: tuple
    strike: object
    options: object = dataclasses.field(default_factory=dict)  # of Rig, or options(scene)
    prepare: object = None  # prepare(scene), before the load
    hits: tuple = ()
    short: tuple = ()  # cells of the short campaign; () = the first
    rounds: int = 2
    lasts: int = 0  # seconds that the fault itself takes
    why_not: object = None  # why_not() -> why it cannot be played on this machine, "" if it can
    unlogged: bool = False  # the store's log does not outlive this fault
    excused: tuple = ()  # rules that this fault may offend, with a reason in `about`
    bound: float = None  # rows below the promised level: the share that may be lost
    bound_words: str = ""  # the same, for people
    measured: tuple = ()  # their rules that are then measured, not demanded

    def short_cells(self):
        return self.short or self.cells[:1]


def row(name, about, cells, **more):
    """Registers the function below it as a row."""

    def keep(strike):
        assert name not in ROWS, name
        ROWS[name] = Row(name, about, cells, strike, **more)
        return strike

    return keep
