"""Limits of a function beside its time: what goes over one fails with the right kind and harms nobody else."""

import pytest

from v1 import V1


@pytest.fixture(scope="module")
def v1(server):
    return V1(server)


def fork_many(count, seconds):
    import os
    import time

    for _ in range(count):
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)
    time.sleep(seconds)
    return count


def test_processes_are_counted_and_ended(v1, serve):
    own = V1(serve("-w", 1))
    function_id = own.register(fork_many, process_limit=5)
    error = own.ended(own.submit(function_id, 8, 30))["error"]
    assert error["kind"] == "LimitExceeded" and "process_limit is 5" in error["message"], error
    assert own.value(own.submit(function_id, 0, 0)) == 0
    own.server.kill()
    own.server.assert_gone()


def test_processes_that_only_burn_cpu_count_too(v1):
    def burn():
        import subprocess
        import sys
        import time

        for _ in range(100):
            subprocess.run([sys.executable, "-c", "import time; e = time.time() + .1\nwhile time.time() < e: pass"])
        time.sleep(60)

    error = v1.ended(v1.submit(v1.register(burn, cpu_limit=0.3)))["error"]
    assert error["kind"] == "LimitExceeded" and "cpu_limit is 0.3 s" in error["message"], error


def test_open_files(v1):
    def leak(count):
        return len([open("/dev/null") for _ in range(count)])

    function_id = v1.register(leak, file_limit=40)
    assert v1.value(v1.submit(function_id, 20)) == 20
    error = v1.ended(v1.submit(function_id, 100))["error"]
    assert (error["kind"], error["type"]) == ("LimitExceeded", "OSError") and "Too many open files" in error["message"]
    assert v1.value(v1.submit(function_id, 20)) == 20
    assert v1.value(v1.submit(v1.register(leak), 100)) == 100, "another function has its own limit: none"


def test_results_and_short_tasks_that_print_too_much(v1):
    def make(size, lines):
        for _ in range(lines):
            print("y" * 99)
        return "x" * size

    function_id = v1.register(make, result_limit=5000, output_limit=10_000)
    assert v1.value(v1.submit(function_id, 4000, 100)) == "x" * 4000
    error = v1.ended(v1.submit(function_id, 6000, 0))["error"]
    assert error["kind"] == "ResultTooLarge" and "result_limit" in error["message"], error
    task = v1.ended(v1.submit(function_id, 0, 101))
    assert task["error"]["kind"] == "LimitExceeded", task
    assert "wrote 10100 bytes" in task["error"]["message"] and "output_limit is 10000" in task["error"]["message"]
    assert task["output"].endswith("y" * 99 + "\n")


def test_a_call_can_only_lower_the_limits_of_its_function(v1):
    function_id = v1.register(fork_many, memory_limit=1 << 30, cpu_limit=5, output_limit=1000)
    more = {"memory_limit": 2 << 30, "cpu_limit": 2.5, "file_limit": 64}
    options = v1.ended(v1.submit(function_id, 0, 0, options=more))["options"]
    assert options["memory_limit"] == 1 << 30 and options["cpu_limit"] == 2.5
    assert options["output_limit"] == 1000 and options["file_limit"] == 64
    assert not {"result_limit", "process_limit"} & set(options)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"memory_limit": 1000}, "memory_limit"),
        ({"cpu_limit": 0}, "cpu_limit"),
        ({"file_limit": 3}, "file_limit"),
        ({"process_limit": -1}, "process_limit"),
        ({"output_limit": "1"}, "output_limit"),
        ({"result_limit": 1 << 40}, "result_limit"),
        ({"file_limits": 64}, "file_limit"),
    ],
)
def test_bad_limits_are_refused_with_a_sentence(v1, options, words):
    body = {"name": "f", "payload": "gASVFQAAAAAAAACMCV9vcGVyYXRvcpSMA2FkZJSTlC4=", "options": options}
    v1.problem(400, "invalid-request", words, "POST", "/v1/functions", body)
