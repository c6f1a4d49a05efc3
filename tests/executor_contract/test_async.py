"""Coroutine functions: tasks side by side on the executor's event loop, each with its own end, output and cancel."""
import asyncio
import os
import pickle
import struct
import sys
import time

import cloudpickle
import pytest

from harness import CONCURRENT, GAVE_UP, RESULT, STARTED, Zygote

cloudpickle.register_pickle_by_value(sys.modules[__name__])


@pytest.fixture(scope="module")
def zygote():
    one = Zygote()
    yield one
    one.close()


@pytest.fixture
def executor(zygote):
    one = zygote.spawn()
    yield one
    try:
        one.kill()
    except ProcessLookupError:
        pass


def args(*positional, **named):
    return pickle.dumps((positional, named), 4)


def register(executor, function, number=1):
    executor.function(number, cloudpickle.dumps(function))


def learn(executor, *arguments, number=1):
    """The first task of a function: the executor says STARTED, then its result."""
    seq, = executor.tasks(number, [args(*arguments)])
    assert executor.frame()[:2] == (STARTED, seq)
    kind, at, result = executor.frame()
    assert (kind, at) == (RESULT, seq)
    return result


def beside(executor, arguments, number=1):
    return executor.tasks(number, [args(*one) for one in arguments], flags=CONCURRENT)


def answers(executor, count):
    """{seq: Result}, in the order in which they came."""
    got = {}
    for _ in range(count):
        kind, seq, result = executor.frame()
        assert kind == RESULT and seq not in got
        got[seq] = result
    return got


async def sleeps(seconds, value=None):
    await asyncio.sleep(seconds)
    return value


async def refuses_to_end(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            await asyncio.sleep(0.05)
        except asyncio.CancelledError:
            print("not me")
    return "went on"


def test_the_first_task_tells_that_its_function_is_async_and_ends_as_any_other(executor):
    register(executor, sleeps)
    assert pickle.loads(learn(executor, 0, "done").data) == "done"


def test_a_thousand_that_sleep_100_ms_run_at_once(executor):
    register(executor, sleeps)
    learn(executor, 0)
    begun, cpu = time.monotonic(), executor.cpu_seconds()
    seqs = beside(executor, [(0.1, n) for n in range(1000)])
    got = answers(executor, 1000)
    took, cpu = time.monotonic() - begun, executor.cpu_seconds() - cpu
    print(f"1,000 of 100 ms: {took:.3f} s, {cpu:.2f} s of CPU")
    assert [pickle.loads(got[seq].data) for seq in seqs] == list(range(1000))
    assert 0.1 <= took < 5 and cpu < 0.5, (took, cpu)  # within a second, if it has the processor (tests/system/test_async.py)


def test_they_end_in_the_order_of_their_sleeps(executor):
    register(executor, sleeps)
    learn(executor, 0)
    seqs = beside(executor, [(0.3,), (0.2,), (0.1,), (0.0,)])
    assert list(answers(executor, 4)) == list(seqs)[::-1]


def test_one_may_join_while_others_run(executor):
    register(executor, sleeps)
    first, = executor.tasks(1, [args(0.4)])
    assert executor.frame()[:2] == (STARTED, first)
    later, = beside(executor, [(0.0,)])
    assert list(answers(executor, 2)) == [later, first]


def test_cancel_ends_one_and_no_other(executor):
    register(executor, sleeps)
    learn(executor, 0)
    seqs = beside(executor, [(0.3, n) for n in range(20)])
    time.sleep(0.1)
    executor.cancel(seqs[7])
    got = answers(executor, 20)
    assert list(got)[0] == seqs[7]
    assert got[seqs[7]].type == "CancelledError" and got[seqs[7]].kind == 1
    assert "asyncio.sleep" in got[seqs[7]].traceback  # where it stood
    assert sorted(pickle.loads(got[seq].data) for seq in seqs if seq != seqs[7]) == [n for n in range(20) if n != 7]


def test_cancel_lets_finally_run_and_comes_also_before_the_first_step(executor, tmp_path):
    async def tidies(path):
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0)
            open(path, "a").write("tidied\n")

    register(executor, sleeps, 1)
    register(executor, tidies, 2)
    seq, = executor.tasks(2, [args(str(tmp_path / "log"))])
    assert executor.frame()[:2] == (STARTED, seq)
    executor.cancel(seq)
    assert answers(executor, 1)[seq].type == "CancelledError"
    assert (tmp_path / "log").read_text() == "tidied\n"
    learn(executor, 0)
    seqs = executor.tasks(1, [args(60)] * 3, flags=CONCURRENT)
    for seq in seqs:
        executor.cancel(seq)
    assert {result.type for result in answers(executor, 3).values()} == {"CancelledError"}
    executor.cancel(seq)  # of one that has ended: nothing
    assert pickle.loads(learn(executor, 0, 5).data) == 5


def test_one_that_swallows_the_cancel_goes_on_until_it_is_killed(executor):
    register(executor, refuses_to_end)
    learn(executor, 0)
    seq, = beside(executor, [(0.3,)])
    time.sleep(0.1)
    executor.cancel(seq)
    assert pickle.loads(answers(executor, 1)[seq].data) == "went on"  # what it is worth, the supervisor decides


def test_failures_are_of_their_own_task(executor):
    async def half_fail(n):
        await asyncio.sleep(0.01)
        if n == 3:
            raise SystemExit("three")
        if n == 4:
            return lambda: open(os.devnull)  # cloudpickle can
        if n == 5:
            return (i for i in range(3))     # nobody can
        if n % 2:
            raise ValueError(n)
        return n

    register(executor, half_fail)
    learn(executor, 0)
    seqs = beside(executor, [(n,) for n in range(8)])
    got = answers(executor, 8)
    assert [(got[s].kind, got[s].type) for s in seqs] == [
        (0, ""), (1, "ValueError"), (0, ""), (1, "SystemExit"), (0, ""), (13, "TypeError"), (0, ""), (1, "ValueError")]
    bad, = executor.tasks(1, [b"\x80\x04nonsense"], flags=CONCURRENT)
    assert answers(executor, 1)[bad].kind == 8
    assert pickle.loads(learn(executor, 2).data) == 2


def test_system_exit_in_a_task_that_the_function_started_ends_neither_loop_nor_others(executor):
    async def leaves(n):
        async def child():
            raise SystemExit(n)
        if n == 0:
            await asyncio.gather(child())
        await asyncio.sleep(0.1)
        return n

    register(executor, leaves)
    learn(executor, 1)
    seqs = beside(executor, [(n,) for n in range(4)])
    got = answers(executor, 4)
    assert [got[s].type for s in seqs] == ["SystemExit", "", "", ""]
    assert [pickle.loads(got[s].data) for s in seqs[1:]] == [1, 2, 3]


def test_output_is_of_the_task_that_wrote_it(executor):
    async def says(n):
        for i in range(5):
            print("task", n, end=" ")
            await asyncio.sleep(0.001)
            print("line", i)
        return n

    register(executor, says)
    learn(executor, 0)
    executor.read(executor.out)
    seqs = beside(executor, [(n,) for n in range(10)])
    answers(executor, 10)
    written, said = executor.read(executor.out), {}
    while written:  # as the supervisor cuts: a mark claims what no mark has claimed yet
        text, _, rest = written.partition(executor.mark)
        seq = struct.unpack_from("<Q", rest)[0]
        said[seq] = said.get(seq, "") + text.decode()
        written = rest[8:]
    for n, seq in enumerate(seqs):
        assert said[seq] == "".join(f"task {n} line {i}\n" for i in range(5))


def test_what_tasks_leave_on_the_loop_is_ended_when_the_last_one_ends(executor, tmp_path):
    async def leaves_things(path):
        async def lingers():
            try:
                await asyncio.sleep(60)
            finally:
                open(path, "a").write("task ended\n")

        async def generates():
            try:
                yield 1
                yield 2
            finally:
                await asyncio.sleep(0)
                open(path, "a").write("generator ended\n")

        asyncio.ensure_future(lingers())
        global kept
        kept = generates()
        await kept.__anext__()
        await asyncio.sleep(0.01)

    register(executor, leaves_things)
    result = learn(executor, str(tmp_path / "log"))
    assert sorted((tmp_path / "log").read_text().split("\n")) == ["", "generator ended", "task ended"]
    assert result.flags & 1 == 0  # nothing is left of it: it goes on


def test_a_leftover_that_does_not_end_costs_the_executor(executor):
    async def leaves_a_stubborn_one():
        async def lingers():
            while True:
                try:
                    await asyncio.sleep(60)
                except asyncio.CancelledError:
                    pass
        asyncio.ensure_future(lingers())
        await asyncio.sleep(0)

    register(executor, leaves_a_stubborn_one)
    assert learn(executor).flags & 1 == 1


def test_threads_of_the_loop_are_ended_and_the_next_run_has_new_ones(executor):
    async def in_thread(n):
        return await asyncio.get_running_loop().run_in_executor(None, lambda: n * n)

    register(executor, in_thread)
    for n in range(3):
        result = learn(executor, n)
        assert pickle.loads(result.data) == n * n and result.flags & 1 == 0


def test_the_loop_is_the_same_from_run_to_run_and_another_for_another_function(executor):
    async def loop_id():
        loop = asyncio.get_running_loop()
        loop.seen = getattr(loop, "seen", 0) + 1
        return loop.seen

    register(executor, loop_id, 1)
    register(executor, loop_id, 2)
    assert [pickle.loads(learn(executor, number=n).data) for n in (1, 1, 1, 2)] == [1, 2, 3, 1]


def test_each_task_knows_itself_and_its_cancel(executor):
    async def who(seconds):
        import treadle
        before = treadle.current_task()
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            return before.id, treadle.current_task().cancelled
        return before.id, treadle.current_task().cancelled

    register(executor, who)
    learn(executor, 0)
    seqs = beside(executor, [(0.2,)] * 5)
    time.sleep(0.05)
    executor.cancel(seqs[2])
    got = answers(executor, 5)
    values = [pickle.loads(got[s].data) for s in seqs]
    assert [int(identity.replace("-", ""), 16) for identity, _ in values] == list(seqs)
    assert [cancelled for _, cancelled in values] == [False, False, True, False, False]


def test_a_function_that_is_not_async_waits_for_those_that_are(executor):
    register(executor, sleeps, 1)
    executor.function(2, cloudpickle.dumps(lambda: "plain"))
    learn(executor, 0)
    seqs = list(beside(executor, [(0.2,), (0.1,)]))
    plain, = executor.tasks(2, [args()])
    got = answers(executor, 3)
    assert list(got) == [seqs[1], seqs[0], plain]
    assert pickle.loads(got[plain].data) == "plain"
    assert executor.recall(9) == 0


def test_a_plain_function_that_returns_a_coroutine_is_run_to_its_end_alone(executor):
    def hides(n):
        async def inner():
            await asyncio.sleep(0.01)
            return n + 1
        return inner()

    register(executor, hides)
    assert [pickle.loads(executor.run(1, args(n)).data) for n in range(3)] == [1, 2, 3]


def test_sigterm_cancels_the_only_one_of_a_function_not_yet_known(executor):
    register(executor, sleeps)
    seq, = executor.tasks(1, [args(60)])
    assert executor.frame()[:2] == (STARTED, seq)
    executor.kill(15)
    assert answers(executor, 1)[seq].type == "CancelledError"
    assert pickle.loads(learn(executor, 0, 1).data) == 1


def test_methods_partials_and_callable_objects_are_async_too(executor):
    import functools

    class Calls:
        async def __call__(self, n):
            await asyncio.sleep(0)
            return "call", n

        async def method(self, n):
            await asyncio.sleep(0)
            return "method", n

    for number, function in enumerate((Calls(), Calls().method, functools.partial(Calls().method)), 1):
        register(executor, function, number)
        assert pickle.loads(learn(executor, number, number=number).data)[1] == number


def test_exit_comes_after_all_that_run(executor):
    register(executor, sleeps)
    learn(executor, 0)
    beside(executor, [(0.2,)] * 3)
    executor.leave()
    assert len(answers(executor, 3)) == 3
    assert executor.wait() == 0


def test_a_closed_loop_is_said_in_words(executor):
    async def closes():
        asyncio.get_running_loop()._selector.close()
        await asyncio.sleep(60)

    register(executor, closes)
    seq, = executor.tasks(1, [args()])
    assert executor.frame()[:2] == (STARTED, seq)
    kind, _, words = executor.frame()
    assert kind == GAVE_UP and b"closed" in words, words
