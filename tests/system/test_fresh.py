"""`isolation: fresh`: a process of its own for each call, at a price that can be paid."""

import statistics
import time

import pytest

from test_recycling import pss
from v1 import V1


def numbers(n):
    import numpy

    return float(numpy.arange(n).sum())


def cold_import():
    """Seconds that numpy takes a new interpreter, as it takes an executor without preload."""
    import subprocess
    import sys
    import time

    took = []
    for _ in range(5):
        bare, with_numpy = ([sys.executable, "-c", code] for code in ("pass", "import numpy"))
        begun = time.perf_counter()
        subprocess.run(bare, check=True)
        middle = time.perf_counter()
        subprocess.run(with_numpy, check=True)
        took.append(time.perf_counter() - middle - (middle - begun))
    return sorted(took)[2]


@pytest.mark.serial
def test_numpy_costs_a_fresh_call_little(serve):
    """From the submit to the answer, one call after the other; the spare process is made while the call before runs."""
    pytest.importorskip("numpy")
    cold = cold_import()
    v1 = V1(serve("-w", 1, "--preload", "numpy"))
    function_id = v1.register(numbers, isolation="fresh")
    took = []
    for n in range(60):
        begun = time.perf_counter()
        task_id = v1.server.execute(function_id, n)
        v1.server.call("GET", f"/result/{task_id}?wait=10")
        took.append(time.perf_counter() - begun)
        assert v1.server.value(task_id) == sum(range(n))
        time.sleep(0.02)
    half = statistics.median(took[10:])
    print(f"fresh numpy call: p50 {half * 1e3:.2f} ms, numpy alone takes {cold * 1e3:.0f} ms")
    assert half < cold / 4, (half, cold)


@pytest.mark.slow
def test_a_thousand_calls_that_leak_leave_nothing(serve):
    def leaks(megabytes):
        import os
        import sys

        seen = hasattr(sys, "kept_by_a_call")
        sys.kept_by_a_call = bytearray(b"x") * (megabytes << 20)
        return seen, os.getpid()

    v1 = V1(serve("-w", 2))
    function_id = v1.register(leaks, isolation="fresh")
    for _ in range(20):
        assert v1.server.value(v1.server.execute(function_id, 10))[0] is False
    time.sleep(0.5)
    before, pids = pss(v1.server), set()
    for _ in range(10):
        ids = [v1.server.execute(function_id, 10) for _ in range(100)]
        for task_id in ids:
            seen, pid = v1.server.value(task_id, 30)
            assert seen is False, "a global of another call"
            pids.add(pid)
    time.sleep(0.5)
    grown = pss(v1.server) - before
    print(f"1,000 calls that leak 10 MB each: {len(pids)} processes, PSS {grown / (1 << 20):+.1f} MiB")
    assert len(pids) == 1000
    assert grown < 20 << 20, grown
