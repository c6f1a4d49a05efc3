"""Power loss at random points: what `strict` acknowledged is in the files that were synced. And the test can fail: synchronous=NORMAL
under strict is caught. TREADLE_POWERLOSS_POINTS sets how many points (default 200)."""
import os
import pathlib
import random
import shutil
import subprocess
import time

PROGRAM = os.environ["TREADLE_POWERLOSS_STORE"]
SHIM = os.environ["TREADLE_POWERLOSS_SHIM"]
POINTS = int(os.environ.get("TREADLE_POWERLOSS_POINTS", "200"))


def write_and_lose_power(home, delay, planted=""):
    """Runs the writer, kills it after `delay` seconds of work, and returns what it had acknowledged by then."""
    data, shadow = home / "data", home / "shadow"
    for folder in (data, shadow / "content", shadow / "names"):
        folder.mkdir(parents=True)
    environment = dict(os.environ, LD_PRELOAD=SHIM, POWERLOSS_DIR=str(data), POWERLOSS_SHADOW=str(shadow))
    writer = subprocess.Popen([PROGRAM, "write", str(data), planted], stdout=subprocess.PIPE, env=environment)
    first = writer.stdout.readline()
    time.sleep(delay)
    writer.kill()
    rest = writer.stdout.read()
    writer.wait()
    return (first + rest).decode().splitlines(keepends=True)


def materialise(shadow, target, name="ROOT"):
    """The directory as it is after the power came back."""
    target.mkdir()
    listing = shadow / "names" / name
    for entry in listing.read_text().split() if listing.exists() else ():
        path = entry if name == "ROOT" else f"{name}%{entry}"
        if (shadow / "names" / path).exists() or entry == "blobs" or name == "blobs":
            materialise(shadow, target / entry, path)
        elif (shadow / "content" / path).exists():
            shutil.copy(shadow / "content" / path, target / entry)
        else:
            (target / entry).touch()


def broken_promises(home, delay, planted=""):
    lines = [line for line in write_and_lose_power(home, delay, planted) if line.endswith("\n")]
    after = home / "after"
    materialise(home / "shadow", after)
    done = subprocess.run([PROGRAM, "check", str(after)], input="".join(lines), capture_output=True, text=True, timeout=60)
    assert done.returncode in (0, 1), done.stderr
    return lines, done.stdout.splitlines()


def test_strict_keeps_all_that_it_acknowledged(tmp_path):
    rng = random.Random(20261125)
    acknowledged = finished = 0
    for point in range(POINTS):
        home = pathlib.Path(tmp_path) / str(point)
        lines, broken = broken_promises(home, rng.uniform(0.0, 0.05))
        assert not broken, f"point {point}: {len(broken)} of {len(lines)} acknowledged are gone: {broken[:3]}"
        acknowledged += len(lines)
        finished += sum(line.startswith("f") for line in lines)
        shutil.rmtree(home)
    assert acknowledged > POINTS * 3 and finished > POINTS, (acknowledged, finished)
    print(f"{POINTS} power losses, {acknowledged} acknowledgements, {finished} of them results: all kept")


def test_a_planted_bug_is_caught(tmp_path):
    caught = sum(bool(broken_promises(pathlib.Path(tmp_path) / str(i), 0.05, "NORMAL")[1]) for i in range(10))
    assert caught >= 8, f"synchronous=NORMAL under strict was caught in {caught} of 10 runs only"
