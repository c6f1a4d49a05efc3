"""A full disk: submits are refused with 507, what runs finishes, and submits return when there is space. Needs a small
file system.
"""

import os
import subprocess
import time

import pytest

import wire
from server import PATIENCE, eventually

SIZE_MIB = 400


@pytest.fixture
def small_disk(tmp_path):
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MIB}m", "tmpfs", place]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("only a root that may mount can make a small disk")
    yield place
    assert eventually(lambda: subprocess.run(["umount", place], capture_output=True).returncode == 0, 5)


def fill(path):
    """Takes all space that is left."""
    with open(path, "ab", buffering=0) as file:
        for size in (1 << 20, 4096):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                continue


@pytest.mark.serial
def test_full_disk(small_disk, serve, runs):  # in this order: the server goes before its disk
    def work(seconds, size):
        import time

        time.sleep(seconds)
        return b"r" * size

    server = serve("-w", 2, data=small_disk / "data")
    pid = server.pid
    function_id = server.register(work)
    done = server.execute(function_id, 0, 10)
    assert server.value(done) == b"r" * 10
    running = [server.execute(function_id, 4, 1000 + n) for n in range(2)]
    assert eventually(lambda: all(server.status(i) == "RUNNING" for i in running), 5)

    fill(small_disk / "ballast")
    accepted, refused = [], None
    body = {"function_id": function_id, "payload": wire.text(((0, 5), {"unused": "u" * 100_000}))}
    for _ in range(3000):  # what still fits in files that are there is rightly taken
        reply = server.post("/execute_function", body)
        if reply.status != 200:
            refused = reply
            break
        accepted.append(reply.json["task_id"])
    assert refused and refused.status == 507 and refused.detail, (len(accepted), refused)
    print(f"{len(accepted)} taken after the disk was full, then: {refused.detail}")
    assert server.post("/register_function", {"name": "f", "payload": wire.text(wire.as_main(work))}).status in (
        200,
        507,
    )

    assert [len(server.value(i)) for i in running] == [1000, 1001], "what ran has finished, and its results are kept"
    assert server.value(done) == b"r" * 10 and server.get("/livez").status == 200
    for task_id in accepted:
        assert server.finished(task_id)[0] == "FAILED"  # for its argument `unused`; it was not lost

    os.unlink(small_disk / "ballast")
    begun = time.monotonic()
    task_id = eventually(
        lambda: (r := server.post("/execute_function", {"function_id": function_id, "payload": wire.args(0, 7)})).status
        == 200
        and r.json["task_id"],
        20,
        every=0.2,
    )
    assert task_id, "submits did not return"
    print(f"submits returned after {time.monotonic() - begun:.1f} s")
    assert server.value(task_id) == b"r" * 7
    assert server.pid == pid and server.alive

    server.kill()
    server.start()
    assert [len(server.value(i)) for i in running] == [1000, 1001]
    assert time.monotonic() - begun < 60 * PATIENCE


def test_a_disk_that_is_full_from_the_start(small_disk, serve):
    """Exit 2 with a sentence, or a server that says 507; never a crash."""
    from server import StartFailed

    fill(small_disk / "ballast")
    try:
        server = serve("-w", 1, data=small_disk / "data")
    except StartFailed as failed:
        assert "ended with 2" in str(failed) and str(small_disk / "data") in str(failed)
        return
    reply = server.post("/register_function", {"name": "f", "payload": wire.text(wire.as_main(fill))})
    assert reply.status == 507, reply
