"""A slot whose function hangs takes new work within 300 ms after the grace, whichever way it hangs."""

import pytest
from cases import CASES, HANGS

from server import PATIENCE
from v1 import V1

LIMIT, GRACE, REFILL = 0.5, 2.0, 0.3
HANGING = [name for name, case in CASES.items() if case.ends == HANGS]


def hang(body, began):
    import os
    import signal
    import sys
    import time

    def note(pid):
        pass

    with open(began, "w") as file:
        file.write(str(time.time()))
    names = {"os": os, "signal": signal, "sys": sys, "time": time, "note": note, "result": "done"}
    exec(body, names)
    return names["result"]


def next_one():
    import time

    return time.time()


@pytest.mark.serial
@pytest.mark.parametrize("name", HANGING)
def test_the_slot_is_there_again(serve, tmp_path, name):
    v1 = V1(serve("-w", 1))
    began = tmp_path / "began"
    following = v1.register(next_one)
    hostile = v1.submit(v1.register(hang, time_limit=LIMIT), CASES[name].body, str(began))
    v1.when(hostile, "RUNNING")
    waiting = v1.submit(following)
    came = v1.value(waiting)
    late = came - float(began.read_text()) - LIMIT - GRACE
    task = v1.ended(hostile)
    assert task["error"]["kind"] == "Timeout" and task["error"]["ended_by"] == "time_limit", task["error"]
    print(f"{name}: the next task began {late * 1e3:+.0f} ms after limit and grace")
    assert late < REFILL * PATIENCE, late
