"""A client that submits without pause, remembers what was accepted, and judges afterwards whether anything was lost or
done twice.
"""

import threading
import time

import wire


def work(runs, key, seconds):
    """Notes that it runs, then takes its time. The line is one write, so that a kill cannot tear it."""
    import os
    import time

    fd = os.open(runs, os.O_WRONLY | os.O_APPEND)
    os.write(fd, f"{key} {time.monotonic()} {os.getpid()}\n".encode())
    os.close(fd)
    if seconds:
        time.sleep(seconds)
    return key


class Load:
    """Submits mixed tasks on two connections until `stop`; survives that the server goes away, as long as `port` is
    kept up to date.
    """

    MIX = (0, 0.005, 0, 0.05, 0, 0.02, 0, 0.05)  # seconds; two threads that submit these keep about 3 slots busy

    def __init__(self, server, runs, threads=2, pace=0.002):
        self._server = server
        self._runs = runs
        self._pace = pace
        self.function_id = server.register(work)
        self.accepted = {}  # task id -> key
        self.terminal = {}  # task id -> (status, result text, when it was seen first)
        self.changed = []  # terminal results that were another at a later look
        self.lost = []  # accepted tasks that the server did not know at a later look
        self._keys = iter(range(10**9))
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._submit, daemon=True) for _ in range(threads)]
        self._threads.append(threading.Thread(target=self._look, daemon=True))

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def in_flight(self):
        """Tasks that wait or run at the server now."""
        metrics = self._server.metrics()
        return int(metrics["treadle_tasks_queued"] + metrics["treadle_tasks_running"])

    def _submit(self):
        while not self._stop.is_set():
            with self._lock:
                key = next(self._keys)
            body = {
                "function_id": self.function_id,
                "payload": wire.args(self._runs.name, key, self.MIX[key % len(self.MIX)]),
            }
            try:
                reply = wire.call(self._server.port, "POST", "/execute_function", body, timeout=10)
                if reply.status == 200:
                    self.accepted[reply.json["task_id"]] = key
            except (OSError, ValueError, wire.http.client.HTTPException):
                time.sleep(0.01)  # it is being killed; whether this one was taken is unknown, and may be either
            time.sleep(self._pace)

    def _look(self):
        """Reads results all the time, those again that were terminal already."""
        n = 0
        while not self._stop.is_set():
            known = list(self.accepted)
            n += 1
            for task_id in known[-20:] + known[n % 7 :: 7][:20]:
                try:
                    self.see(task_id)
                except (OSError, ValueError, wire.http.client.HTTPException):
                    time.sleep(0.01)
                    break

    def see(self, task_id):
        reply = wire.call(self._server.port, "GET", f"/result/{task_id}", timeout=10)
        if reply.status == 404:
            self.lost.append(task_id)
        if reply.status != 200:
            return None
        status, result = reply.json["status"], reply.json["result"]
        first = self.terminal.get(task_id)
        if first and (status, result) != first[:2]:
            self.changed.append((task_id, first, status, result))
        if not first and status in wire.TERMINAL:
            self.terminal[task_id] = (status, result, time.monotonic())
        return status

    def judge(self, seconds):
        """All that was accepted ends COMPLETED with its own value; nothing that was seen ended has run later or
        changed.
        """
        deadline = time.monotonic() + seconds
        missing = list(self.accepted)
        while missing and time.monotonic() < deadline:
            missing = [i for i in missing if self.see(i) not in wire.TERMINAL]
        assert self.lost == [] and self.changed == []
        assert missing == [], f"{len(missing)} of {len(self.accepted)} accepted tasks did not end: {missing[:5]}"
        for task_id, key in self.accepted.items():
            status, result, _ = self.terminal[task_id]
            assert status == "COMPLETED" and wire.untext(result) == key, (task_id, key, status, wire.untext(result))
        ran = {}
        for key, at, _ in self._runs.words():
            ran.setdefault(int(key), []).append(float(at))
        for task_id, key in self.accepted.items():
            assert key in ran, f"task {task_id} is COMPLETED but has never run"
            again = [at for at in ran[key] if at > self.terminal[task_id][2]]
            assert again == [], f"task {task_id} ran again after its result was seen"
        return ran
