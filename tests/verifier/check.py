"""Runs treadle_pickle_check: payloads in, verdicts out."""

import json
import os
import pathlib
import struct
import subprocess
import threading

ROOT = pathlib.Path(__file__).resolve().parents[2]


def program():
    path = os.environ.get("TREADLE_PICKLE_CHECK") or str(ROOT / "build" / "treadle_pickle_check")
    assert os.access(path, os.X_OK), f"{path} is missing: build target treadle_pickle_check, or set TREADLE_PICKLE_CHECK"
    return path


def run_frames(command, payloads):
    """Feeds length-prefixed payloads to a program that prints one line of JSON for each; gives the lines back."""
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def write():
        try:
            for payload in payloads:
                child.stdin.write(struct.pack("<Q", len(payload)))
                child.stdin.write(payload)
            child.stdin.close()
        except BrokenPipeError:
            pass  # it died; the missing lines tell at which payload

    writer = threading.Thread(target=write)
    writer.start()
    lines = child.stdout.read().splitlines()
    writer.join()
    return [json.loads(line) for line in lines], child.wait()


def verdicts(payloads, *options):
    payloads = list(payloads)
    lines, status = run_frames([program(), *options], payloads)
    assert status == 0, f"treadle_pickle_check ended with {status}"
    assert len(lines) == len(payloads)
    return lines
