"""Clients that submit, look, cancel and repeat without pause, and write down what they asked and what they heard."""

import http.client
import itertools
import random
import threading
import time

import wire
from history.model import TERMINAL, Call, Intent
from history.user_code import work

MIX = (0, 0.005, 0, 0.05, 0.005, 0, 0.05, 0.005, 0, 0.5)  # seconds of user code: 61 ms in the mean
FAULTS = (OSError, ValueError, http.client.HTTPException)


class Load:
    """`ports` are those of the gateways, asked in turn. At most `backlog` accepted tasks are unfinished at a time."""

    def __init__(self, ports, runs, seed, threads=3, backlog=120, seconds_of=None):
        self.ports = list(ports)
        self.intents = {}
        self.calls = []  # appended to by all threads: list.append is atomic
        self.accepted = {}  # task -> key
        self.ended = {}  # task -> when it was first seen ended
        self._runs = runs
        self._backlog = backlog
        self._mix = seconds_of or MIX
        self._keys = itertools.count()
        self._turn = itertools.count()
        self._stop = threading.Event()
        chances = [random.Random(f"{seed} {n}") for n in range(threads + 1)]
        self._functions = {}
        self._threads = [
            threading.Thread(target=self._submit_all, args=(chance,), daemon=True) for chance in chances[1:]
        ]
        self._threads.append(threading.Thread(target=self._look_all, args=(chances[0],), daemon=True))

    # -- life --------------------------------------------------------------------------------------------------------

    def register(self, seconds=60):
        """One function for each kind of delivery; again after everything was wiped."""
        deadline = time.monotonic() + seconds
        payload = wire.text(wire.as_main(work))
        for delivery in ("at_least_once", "at_most_once"):
            body = {"name": "work", "payload": payload, "options": {"delivery": delivery}}
            while (reply := self._ask("POST", "/v1/functions", body)) is None or reply.status != 201:
                assert time.monotonic() < deadline, reply
                time.sleep(0.05)
            self._functions[delivery == "at_most_once"] = reply.json["function_id"]

    def start(self):
        self.register()
        for thread in self._threads:
            thread.start()
        return self

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join(120)
            assert not thread.is_alive(), "a client did not end"

    def unfinished(self):
        return [task for task in list(self.accepted) if task not in self.ended]

    # -- one request -------------------------------------------------------------------------------------------------

    def _ask(self, method, path, body=None, headers=None, timeout=15):
        """The answer; None if there was none."""
        port = self.ports[next(self._turn) % len(self.ports)]
        try:
            return wire.call(port, method, path, body, headers, timeout)
        except FAULTS:
            return None

    def submit(self, intent, body=None):
        """The task's id if it was acknowledged. With an idempotency key it is said again until it is, or refused."""
        self.intents[intent.key] = intent
        body = body or self.body_of(intent)
        headers = {"Idempotency-Key": intent.idem} if intent.idem else {}
        for _ in range(200 if intent.idem else 1):
            begun = time.monotonic()
            reply = self._ask("POST", "/v1/tasks", body, headers)
            outcome = outcome_of(reply)
            task = reply.json["task_id"] if outcome == "ok" else ""
            self.calls.append(Call("submit", intent.key, begun, time.monotonic(), outcome, task))
            if outcome == "ok":
                self.accepted[task] = intent.key
                return task
            if outcome == "refused" or self._stop.is_set():
                self._when_refused(reply)
                return None
            time.sleep(0.05)
        return None

    def _when_refused(self, reply):
        if reply is not None and reply.status == 404:
            self.register()  # the function has gone: everything was wiped
        time.sleep(0.02)

    def body_of(self, intent, padding=""):
        args = [self._runs, intent.key, intent.seconds, intent.raises, padding]
        return {"function_id": self._functions[intent.once], "args": args}

    def conflict(self, intent):
        """Another body under the same key."""
        body = self.body_of(intent)
        body["args"][2] += 1
        begun = time.monotonic()
        reply = self._ask("POST", "/v1/tasks", body, {"Idempotency-Key": intent.idem})
        outcome = outcome_of(reply)
        task = reply.json["task_id"] if outcome == "ok" else ""
        self.calls.append(Call("conflict", intent.key, begun, time.monotonic(), outcome, task))

    def cancel(self, task):
        begun = time.monotonic()
        reply = self._ask("DELETE", f"/v1/tasks/{task}")
        status = str(reply.status) if reply is not None else ""
        self.calls.append(Call("cancel", self.accepted[task], begun, time.monotonic(), outcome_of(reply), task, status))

    def look(self, task):
        """Its status now, None if nobody answers."""
        begun = time.monotonic()
        reply = self._ask("GET", f"/result/{task}")
        ended = time.monotonic()
        if reply is None or reply.status not in (200, 404):
            self.calls.append(Call("look", self.accepted[task], begun, ended, "unknown", task))
            return None
        status = reply.json["status"] if reply.status == 200 else "404"
        result = reply.json["result"] if status in TERMINAL else ""
        self.calls.append(Call("look", self.accepted[task], begun, ended, "ok", task, status, result))
        if status in TERMINAL or status == "404":
            self.ended.setdefault(task, ended)
        return status

    # -- without pause -----------------------------------------------------------------------------------------------

    def plain_intent(self, seconds=0):
        return Intent(next(self._keys), seconds)

    def _mixed_intent(self, chance):
        key = next(self._keys)
        once = chance.random() < 0.2
        idem = f"idem-{key}" if chance.random() < 0.25 else ""
        return Intent(key, self._mix[key % len(self._mix)], chance.random() < 0.1, once, idem)

    def _submit_all(self, chance):
        while not self._stop.is_set():
            intent = self._mixed_intent(chance)
            task = self.submit(intent)
            if task and intent.idem and chance.random() < 0.2:
                self.conflict(intent)
            elif task and chance.random() < 0.06:
                self.cancel(task)
            while len(self.accepted) - len(self.ended) > self._backlog and not self._stop.is_set():
                time.sleep(0.01)
            time.sleep(0.004)

    def _look_all(self, chance):
        """Looks at what is unfinished, in turn, and now and then at something that had ended."""
        while not self._stop.is_set():
            waiting = self.unfinished()[:40]
            ended = list(self.ended)
            for task in waiting + [chance.choice(ended) for _ in range(min(4, len(ended)))]:
                if self.look(task) is None or self._stop.is_set():
                    time.sleep(0.02)
                    break
            time.sleep(0.005)

    def probe(self, seconds=120):
        """Seconds until a task that is accepted from now on has ended."""
        begun = time.monotonic()
        while time.monotonic() - begun < seconds:
            task = self.submit(self.plain_intent())
            while task and time.monotonic() - begun < seconds:
                status = self.look(task)
                if status in TERMINAL:
                    return time.monotonic() - begun
                if status == "404":
                    break
                time.sleep(0.01)
            time.sleep(0.01)
        raise AssertionError(f"no task that was submitted within {seconds} s has ended")

    def drain(self, seconds):
        """Waits until all that was accepted is seen ended; returns what is not after so many seconds."""
        deadline = time.monotonic() + seconds
        while (left := self.unfinished()) and time.monotonic() < deadline:
            for task in left:
                self.look(task)
            time.sleep(0.05)
        return left


def outcome_of(reply):
    if reply is None or reply.status >= 500:
        return "unknown"
    return "ok" if reply.status in (200, 201, 202) else "refused"
