"""kill -9 of what stands above hostile functions: nothing that they have started outlives it.

Survivors are looked for by a random mark in the environment with which they were started, and by the pids that they noted.
"""

import os
import pathlib
import signal
import uuid

import pytest
from test_hostile import alive, with_mark

from server import eventually, parent

HIDES = {
    "blocks signals": "signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65)); time.sleep(60)",
    "double fork": """
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        note(os.getpid())
        for fd in range(3): os.close(fd)
        time.sleep(60)
    os._exit(0)
time.sleep(60)
""",
    "many children": """
for _ in range(8):
    if os.fork() == 0:
        os.setsid()
        note(os.getpid())
        signal.pause()
time.sleep(60)
""",
    "another program": """
import subprocess
note(subprocess.Popen(["sleep", "60"], start_new_session=True, env=os.environ).pid)
time.sleep(60)
""",
}


def hides(body, mark, notes):
    import os
    import signal
    import time

    def note(pid):
        fd = os.open(notes, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(fd, f"{pid}\n".encode())
        os.close(fd)

    os.environ["HOSTILE_MARK"] = mark
    note(os.getpid())
    exec(body, {"os": os, "signal": signal, "time": time, "note": note})


def above(server, executors):
    """{who: pid} of supervisor, guard and zygote of the process that runs the functions."""
    supervisor = server.pid if hasattr(server, "pid") else server.worker.pid
    everybody = {pid: parent(pid) for pid, _ in server.survivors()}
    (guard,) = [pid for pid in everybody if everybody[pid] == supervisor]
    (zygote,) = [pid for pid in everybody if everybody[pid] == guard and pid not in executors]
    return {"supervisor": supervisor, "guard": guard, "zygote": zygote}


@pytest.mark.cells("sqlite-local", "sqlite-push")
@pytest.mark.parametrize("who", ["supervisor", "guard", "zygote"])
def test_nothing_outlives_it(serve, tmp_path, who):
    server = serve("-w", len(HIDES))
    mark, notes = uuid.uuid4().hex, tmp_path / "notes"
    function_id = server.register(hides)
    ids = [server.execute(function_id, body, mark, str(notes)) for body in HIDES.values()]
    assert eventually(lambda: notes.exists() and len(notes.read_text().split()) == 4 + 1 + 8 + 1, 20), notes.read_text()
    assert all(server.status(task_id) == "RUNNING" for task_id in ids)
    noted = {int(line) for line in notes.read_text().split()}
    parents = above(server, noted)
    assert all(alive(pid) for pid in noted)
    os.kill(parents[who], signal.SIGKILL)
    if who == "zygote":  # its executors are the guard's: they go on, and are ended as always
        assert eventually(lambda: not alive(parents["zygote"]), 2)
        assert all(alive(pid) for pid in noted)
        for task_id in ids:
            server.call("DELETE", f"/v1/tasks/{task_id}")
        assert [server.finished(task_id)[0] for task_id in ids] == ["FAILED"] * len(ids)
    elif who == "guard":
        assert eventually(lambda: not [pid for pid in noted if alive(pid)], 2), [(pid, pathlib.Path(f"/proc/{pid}/stat").read_text().split()[:4]) for pid in noted if alive(pid)]
        # They were not to blame and run again, under a new guard; their first lives are over.
        assert eventually(lambda: len(notes.read_text().split()) >= 28, 20), notes.read_text()
        noted |= {int(line) for line in notes.read_text().split()}
        server.kill()
    assert eventually(lambda: not [pid for pid in noted if alive(pid)] and not with_mark(mark), 3), (
        [pid for pid in noted if alive(pid)], with_mark(mark))
    assert not [p for p in pathlib.Path("/proc").iterdir() if p.name.isdigit() and int(p.name) in noted and alive(int(p.name))]
