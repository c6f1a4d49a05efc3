"""One row in one cell: the service, its load, the blows that fall, and the verdict."""

import contextlib
import pathlib
import shutil
import statistics
import tempfile
import threading
import time

from client import PATIENCE, client_at, eventually
from history.checker import check
from history.client_side import Load
from history.model import Blow, History
from history.runs import RunsFile
from rig import Rig, is_below

LAG = 30 * PATIENCE  # so long after its end a fault may show: lease 10 s, session 10 s, adoption 5 s
COUNTERS = {
    "requeued": "treadle_tasks_requeued_total",
    "adopted": "treadle_tasks_adopted_total",
    "reaped": "treadle_sessions_reaped_total",
    "stale": 'treadle_outcomes_refused_total{reason="stale"}',
    "duplicate": 'treadle_outcomes_refused_total{reason="duplicate"}',
}


class Totals(threading.Thread):
    """The counters of the service, over the lives of its gateways, each up to a quarter of a second before its end."""

    def __init__(self, rig):
        super().__init__(daemon=True)
        self._rig = rig
        self._last = dict.fromkeys(COUNTERS, 0)
        self.total = dict.fromkeys(COUNTERS, 0)
        self._stop_now = threading.Event()

    def run(self):
        while not self._stop_now.wait(0.25):
            self.look()

    def look(self):
        for port in self._rig.ports:
            try:
                metrics = client_at(port).metrics()
            except (OSError, AssertionError, ValueError):
                continue
            for name, sample in COUNTERS.items():
                now = metrics.get(sample, 0)
                self.total[name] += now - self._last[name] if now >= self._last[name] else now
                self._last[name] = now
            return

    def stop(self):
        self._stop_now.set()
        self.join(60)
        self.look()


class Scene:
    """What a row strikes."""

    def __init__(self, row, cell, rounds, seed):
        self.row, self.cell, self.rounds, self.seed = row, cell, rounds, seed
        self.home = pathlib.Path(tempfile.mkdtemp(prefix=f"treadle-chaos-{row.name.replace(' ', '-')}-"))
        self.store, self.mode = cell.split("-")
        self.runs = RunsFile(self.home / "runs")
        self.blows = []
        self.hits = {}
        self.recoveries = []
        self.closing = contextlib.ExitStack()  # what a row has to undo at the end, after the service
        self.rig = self.load = self.totals = None

    # -- for rows ----------------------------------------------------------------------------------------------------

    def hit(self, name, count=1):
        """Counts that the fault struck."""
        self.hits[name] = self.hits.get(name, 0) + count

    @contextlib.contextmanager
    def blow(self, name="", wipes=False, since="begin", probe=True):
        """A fault that lasts as long as the block. Recovery is counted from its begin, or from its end."""
        blow = Blow(name or self.row.name, time.monotonic(), float("inf"), float("inf"), wipes)
        blow.since = since
        self.blows.append(blow)
        yield blow
        blow.ended = time.monotonic()
        blow.until = blow.ended + LAG
        if probe:
            self.recoveries.append(self.load.probe())

    def settle(self, tasks=30, seconds=60):
        """Lets so many more tasks end: the service works."""
        before = len(self.load.ended)
        assert eventually(lambda: len(self.load.ended) >= before + tasks, seconds), (
            f"{len(self.load.ended) - before} tasks ended within {seconds} s\n{self.rig.log()}"
        )

    def busy(self, program, seconds=60):
        """Waits until a run of 500 ms has just begun below this program; returns how many run there."""

        def look():
            now = time.monotonic()
            below = [run for run in self.runs.open() if is_below(run.pid, program.pid)]
            fresh = any(now - run.started < 0.25 and self._seconds_of(run) >= 0.5 for run in below)
            return fresh and below

        found = eventually(look, seconds, every=0.005)
        assert found, f"{program.name} runs no long task\n{self.rig.log()}"
        return len(found)

    def _seconds_of(self, run):
        intent = self.load.intents.get(run.key)
        return intent.seconds if intent else 0

    def unknown_calls(self):
        return sum(call.outcome == "unknown" for call in self.load.calls)

    # -- the course of it --------------------------------------------------------------------------------------------

    def play(self):
        """The verdict, as a line of the table."""
        begun = time.monotonic()
        try:
            options = self.row.options(self) if callable(self.row.options) else dict(self.row.options)
            self.rig = Rig(self.home, self.cell, **options).start()
            if self.row.prepare:
                self.row.prepare(self)
            self.load = Load(self.rig.ports, str(self.runs.path), self.seed).start()
            self.totals = Totals(self.rig)
            self.totals.start()
            self.settle()
            for _ in range(self.rounds):
                self.row.strike(self)
            self.settle(10)
            self.load.stop()
            left = self.load.drain(120 * PATIENCE)
            self.totals.stop()
            history = self._history()
            line = self._verdict(history, left)
        finally:
            if self.rig:
                log = self.rig.log()
                self.rig.close()
            self.closing.close()
        line["seconds"] = round(time.monotonic() - begun, 1)
        if line["verdict"] == "pass":
            shutil.rmtree(self.home, ignore_errors=True)
        else:
            (self.home / "programs.log").write_text(log)
            line["kept"] = str(self.home)
        return line

    def _history(self):
        dead = self.rig.unplanned_deaths()
        assert not dead, f"{dead} died by themselves\n{self.rig.log()}"
        if self.store == "sqlite":
            for program in self.rig.programs:
                program.kill()
        changes, finals = self.rig.history()
        return History(
            intents=self.load.intents,
            calls=self.load.calls,
            runs=self.runs.look(),
            changes=changes,
            finals=finals,
            blows=self.blows,
            restarts=self.rig.restarts,
            logged=bool(changes) and not self.row.unlogged,
            claims_logged=self.store == "redis",
        )

    def _verdict(self, history, left):
        offences = check(history, self.row.excused)
        self.hits.update({name: self.hits.get(name, 0) + int(n) for name, n in self.totals.total.items()})
        self.hits["worker_lost"] = sum(final.kind == "WorkerLost" for final in history.finals.values())
        missed = [name for name in self.row.hits if self.hits.get(name, 0) <= 0]
        lost = len(offences.get("lost", []))
        bound, undone = self.row.bound, {}
        if bound is not None and lost <= bound * max(1, len(self.load.accepted)):
            undone = {name: len(offences.pop(name)) for name in self.row.measured if name in offences}
        again = len(history.runs) - len({run.key for run in history.runs})
        recoveries = sorted(self.recoveries + interrupted(history))
        line = {
            "row": self.row.name,
            "cell": self.cell,
            "verdict": "pass" if not offences and not missed else "FAIL",
            "blows": len(self.blows),
            "accepted": len(self.load.accepted),
            "lost": lost,
            "double_terminal": len(offences.get("terminal_twice", [])),
            "stale_applied": len(offences.get("stale_result", [])) + len(offences.get("stale_token", [])),
            "illegal": len(offences.get("illegal_transition", [])),
            "at_most_once_twice": len(offences.get("started_twice", [])),
            "ran_again": again,
            "late_refused": int(self.hits["stale"] + self.hits["duplicate"]),
            "recovery_p50": round(statistics.median(recoveries), 3) if recoveries else None,
            "recovery_max": round(recoveries[-1], 3) if recoveries else None,
            "hits": {name: n for name, n in self.hits.items() if n},
        }
        if offences:
            line["offences"] = {name: found[:5] + [f"{len(found)} in all"] for name, found in offences.items()}
        if undone:
            line["undone"] = undone
        if missed:
            line["missed"] = missed
        if left:
            line["unfinished"] = len(left)
        return line


def interrupted(history):
    """Seconds from each blow until a task whose run it cut off, or hid, ran again."""
    found = []
    by_key = {}
    for run in history.runs:
        by_key.setdefault(run.key, []).append(run)
    for runs in by_key.values():
        for first, second in zip(runs, runs[1:]):
            blows = [b for b in history.blows if first.started <= b.begun <= second.started]
            if blows and (first.ended is None or first.ended > second.started):
                blow = blows[-1]
                at = blow.begun if blow.since == "begin" else min(blow.ended, second.started)
                found.append(second.started - at)
    return found
