"""What any concurrent.futures.Executor must do, after the executor tests of CPython, against a real server."""

import collections
import concurrent.futures as cf
import gc
import os
import pickle
import threading
import time
import weakref

import pytest

import treadle


def mul(x, y):
    return x * y


def capture(*args, **kwargs):
    return args, kwargs


def sleep_and_return(seconds, value):
    time.sleep(seconds)
    return value


def until(path, value=None):
    """For at most a minute, which only a test that fails takes."""
    end = time.monotonic() + 60
    while not os.path.exists(path) and time.monotonic() < end:
        time.sleep(0.005)
    return value


def raise_value_error(text):
    raise ValueError(text)


class Odd(Exception):
    """An exception whose constructor takes what its args do not hold."""

    def __init__(self, code, *, hint):
        super().__init__(f"code {code}")
        self.code, self.hint = code, hint

    def __reduce__(self):
        return _odd, (self.code, self.hint)


def _odd(code, hint):
    return Odd(code, hint=hint)


def raise_odd():
    raise Odd(7, hint="left")


def raise_chained():
    try:
        {}["inner"]
    except KeyError as error:
        raise RuntimeError("outer") from error


def die(_=None):
    os._exit(9)


def nested(url, n):
    import treadle

    with treadle.Client(url) as client:
        return sum(client.map(lambda x: x + 1, range(n)))


class Unpicklable:
    def __reduce__(self):
        raise TypeError("not to be sent")


# ---- submit and map


def test_it_is_an_executor(pool):
    assert isinstance(pool, cf.Executor)
    future = pool.submit(pow, 2, 8)
    assert isinstance(future, cf.Future) and future.result() == 256


def test_submit_keywords(pool):
    assert pool.submit(mul, 2, y=8).result() == 16
    assert pool.submit(capture, 1, self=2, fn=3).result() == ((1,), {"self": 2, "fn": 3})
    with pytest.raises(TypeError):
        pool.submit()
    with pytest.raises(TypeError):
        pool.submit(arg=1)


def test_map(pool):
    assert list(pool.map(pow, range(10), range(10))) == list(map(pow, range(10), range(10)))
    assert list(pool.map(pow, range(10), range(10), chunksize=3)) == list(map(pow, range(10), range(10)))
    assert list(pool.map(mul, [], [])) == []


@pytest.mark.parametrize("chunksize", [1, 3, 40, 50])
def test_map_keeps_the_order(pool, chunksize):
    def uneven(n):
        time.sleep(0.02 if n % 7 == 0 else 0)
        return n

    assert list(pool.map(uneven, range(40), chunksize=chunksize)) == list(range(40))


def test_map_exception_comes_at_its_place(pool):
    results = pool.map(divmod, [1, 1, 1, 1], [2, 3, 0, 5])
    assert next(results) == (0, 1) and next(results) == (0, 1)
    with pytest.raises(ZeroDivisionError):
        next(results)
    with pytest.raises(StopIteration):
        next(results)


def test_map_timeout(pool, gate):
    seen = []
    assert pool.submit(abs, -1).result() == 1
    with pytest.raises(cf.TimeoutError):
        for value in pool.map(until, ["/", "/", gate.path], [1, 2, 3], timeout=2):
            seen.append(value)
    assert seen == [1, 2]


def test_map_takes_arguments_as_results_are_taken(pool):
    taken = []

    def source():
        for n in range(30):
            taken.append(n)
            yield n

    results = pool.map(abs, source(), buffersize=5)
    assert taken == list(range(5))
    assert [next(results) for _ in range(3)] == [0, 1, 2] and len(taken) == 8
    assert list(results) == list(range(3, 30))
    endless = pool.map(abs, iter(int, 1), buffersize=4)
    assert [next(endless) for _ in range(10)] == [0] * 10


def test_map_rejects_nonsense(pool):
    for wrong in ({"chunksize": 0}, {"chunksize": -1}, {"buffersize": 0}):
        with pytest.raises(ValueError):
            pool.map(abs, [1], **wrong)
    with pytest.raises(TypeError):
        pool.map(abs)


def test_map_as_results_come(client, gate):
    results = client.map(until, [gate.path] + ["/"] * 5, range(6), ordered=False)
    assert sorted(next(results) for _ in range(5)) == [1, 2, 3, 4, 5]
    gate.open()
    assert list(results) == [0]


def test_a_million_is_not_needed_to_see_every_item_once(client):
    """Five thousand items, one task each; one that raises and one that kills its process fail alone."""

    def item(n):
        if n == 1234:
            raise ValueError(n)
        if n == 2345:
            os._exit(3)
        return n

    futures = client.submit_many(item, [(n,) for n in range(5000)])
    done, waiting = cf.wait(futures, 120)
    assert not waiting
    assert len({future.task_id for future in futures}) == 5000
    failed = {n: future.exception() for n, future in enumerate(futures) if future.exception() is not None}
    assert sorted(failed) == [1234, 2345]
    assert type(failed[1234]) is ValueError and failed[1234].args == (1234,)
    assert all(future.result() == n for n, future in enumerate(futures) if n not in failed)


def test_no_cycle_keeps_results(pool):
    class Cargo:
        pass

    future = pool.submit(Cargo)
    cargo = weakref.ref(future.result())
    assert cargo() is not None
    del future
    gc.collect()
    for _ in range(100):
        if cargo() is None:
            break
        time.sleep(0.01)
        gc.collect()
    assert cargo() is None


# ---- exceptions


def test_original_exception_with_remote_traceback(pool):
    future = pool.submit(raise_value_error, "seventeen")
    with pytest.raises(ValueError) as caught:
        future.result()
    assert type(caught.value) is ValueError and caught.value.args == ("seventeen",)
    cause = caught.value.__cause__
    assert isinstance(cause, treadle.TaskFailed) and cause.task_id == future.task_id
    assert "raise_value_error" in str(cause) and "Traceback" in str(cause)
    assert future.exception() is caught.value


def test_exception_class_of_ones_own(pool):
    error = pool.submit(raise_odd).exception()
    assert type(error) is Odd and (error.code, error.hint) == (7, "left")


def test_exceptions_can_be_pickled(pool):
    error = pickle.loads(pickle.dumps(pool.submit(raise_value_error, "x").exception()))
    assert type(error) is ValueError and error.args == ("x",)
    failed = pickle.loads(pickle.dumps(treadle.TaskFailed("text", "id")))
    assert str(failed) == "text" and failed.task_id == "id"


def test_chained_exception_tells_both(pool):
    error = pool.submit(raise_chained).exception()
    assert type(error) is RuntimeError and "KeyError" in str(error.__cause__)


def test_a_task_that_kills_its_process_fails_alone(pool):
    dead, alive = pool.submit(die), pool.submit(mul, 3, 4)
    assert isinstance(dead.exception(60), treadle.TaskFailed) or isinstance(dead.exception(), RuntimeError)
    assert alive.result() == 12 and pool.submit(mul, 5, 5).result() == 25


def test_what_cannot_be_sent(pool):
    with pytest.raises(treadle.NotPicklable, match="argument 1 of mul, a lock"):
        pool.submit(mul, 1, threading.Lock())
    with pytest.raises(TypeError, match="argument 'y' of mul, a Unpicklable, cannot be sent.*not to be sent"):
        pool.submit(mul, 1, y=Unpicklable())
    lock = threading.Lock()

    def locked():
        with lock:
            return 1

    with pytest.raises(treadle.NotPicklable, match="locked cannot be sent to a worker: it uses the variable 'lock' around it, a lock"):
        pool.submit(locked)
    assert pool.submit(mul, 2, 2).result() == 4


def test_result_that_cannot_be_pickled(pool):
    error = pool.submit(lambda: (n for n in range(3))).exception()
    assert "the result, a generator, cannot be pickled" in str(error)


# ---- futures


def test_wait_and_as_completed(pool, gate):
    slow, fast = pool.submit(until, gate.path, "slow"), pool.submit(until, "/", "fast")
    done, waiting = cf.wait([slow, fast], return_when=cf.FIRST_COMPLETED)
    assert done == {fast} and waiting == {slow}
    failed = pool.submit(raise_value_error, "x")
    done, waiting = cf.wait([failed, slow], return_when=cf.FIRST_EXCEPTION)
    assert done == {failed} and waiting == {slow}
    with pytest.raises(cf.TimeoutError):
        list(cf.as_completed([slow], timeout=0.05))
    ended = cf.as_completed([slow, fast])
    assert next(ended) is fast
    gate.open()
    assert next(ended) is slow and slow.result() == "slow"
    done, waiting = cf.wait([failed, fast, slow])
    assert len(done) == 3 and not waiting
    assert len(list(cf.as_completed([slow, slow]))) == 1


def test_callbacks(pool):
    told = []
    event = threading.Event()

    def tell(future):
        told.append(future.result())
        event.set()

    future = pool.submit(mul, 3, 3)
    future.add_done_callback(tell)
    assert event.wait(20) and told == [9]
    future.add_done_callback(tell)
    assert told == [9, 9]


def test_a_callback_may_submit(pool):
    second = []
    event = threading.Event()

    def go_on(future):
        second.append(pool.submit(mul, future.result(), 10))
        event.set()

    pool.submit(mul, 2, 3).add_done_callback(go_on)
    assert event.wait(20) and second[0].result(20) == 60


def test_timeouts(pool, gate):
    future = pool.submit(until, gate.path, 5)
    begun = time.monotonic()
    with pytest.raises(cf.TimeoutError):
        future.result(timeout=0.1)
    assert time.monotonic() - begun >= 0.1
    with pytest.raises(treadle.ResultTimeout):
        future.exception(timeout=0)
    assert not future.done() and not future.cancelled()
    gate.open()
    assert future.result(30) == 5 and future.done()


def test_running_and_cancel(new_server, gate):
    """One slot: the first runs, those behind it can be taken back."""
    with treadle.Executor(new_server.url) as pool:
        running = pool.submit(until, gate.path, "ran")
        waiting = [pool.submit(sleep_and_return, 30, n) for n in range(3)]
        deadline = time.monotonic() + 20
        while not running.running():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert not running.cancel() and not running.cancelled()
        assert all(future.cancel() for future in waiting)
        for future in waiting:
            assert future.cancelled() and future.done() and future.cancel() and not future.running()
            with pytest.raises(cf.CancelledError):
                future.result()
            with pytest.raises(cf.CancelledError):
                future.exception()
        gate.open()
        assert running.result(30) == "ran" and not running.cancel()


def test_terminate(client):
    future = client.submit(time.sleep, 60)
    deadline = time.monotonic() + 20
    while future.status() != "RUNNING":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert future.terminate() is True
    with pytest.raises(cf.CancelledError):
        future.result(20)
    assert future.cancelled() and not future.terminate()


# ---- shutdown


def test_shutdown_waits(url):
    pool = treadle.Executor(url)
    futures = [pool.submit(sleep_and_return, 0.2, n) for n in range(4)]
    pool.shutdown()
    assert [future.done() for future in futures] == [True] * 4 and [f.result() for f in futures] == [0, 1, 2, 3]
    for late in (lambda: pool.submit(pow, 2, 2), lambda: pool.map(abs, [1])):
        with pytest.raises(RuntimeError, match="after shutdown"):
            late()
    pool.shutdown()


def test_shutdown_without_waiting(url, gate):
    with treadle.Client(url) as client:
        pool = treadle.Executor(client)
        future = pool.submit(until, gate.path, 1)
        pool.shutdown(wait=False)
        assert not future.done()
        gate.open()
        assert future.result(20) == 1
        assert client.submit(mul, 2, 2).result() == 4, "the client was not the executor's to close"


def test_shutdown_cancels_what_has_not_begun(new_server, gate):
    pool = treadle.Executor(new_server.url)
    first = pool.submit(until, gate.path, "first")
    others = [pool.submit(sleep_and_return, 30, n) for n in range(60)]
    while first.status() != "RUNNING":
        time.sleep(0.02)
    at_last = threading.Thread(target=lambda: (cf.wait(others), gate.open()))
    at_last.start()
    pool.shutdown(cancel_futures=True)
    at_last.join()
    assert first.result() == "first"
    assert all(future.cancelled() for future in others)


def test_options_of_an_executor(new_server):
    with treadle.Executor(new_server.url, time_limit=0.5, group="short") as pool:
        future = pool.submit(time.sleep, 30)
        error = future.exception(30)
        assert "time" in str(error).lower()
        assert [row["task_id"] for row in pool.client.tasks(group="short")] == [future.task_id]
    with pytest.raises(TypeError, match="no option 'time_limt'; did you mean 'time_limit'"):
        treadle.Executor(new_server.url, time_limt=1)


# ---- inside tasks, and across processes


def test_nested_submits(client, url):
    """Two slots: the outer task holds one, its own run on the other."""
    assert client.submit(nested, url, 5).result(60) == 15


def test_future_in_another_process(client):
    future = client.submit(mul, 6, 7)
    again = pickle.loads(pickle.dumps(future))
    assert again is not future and again.task_id == future.task_id and again.result(20) == 42
    assert client.future(future.task_id).result(20) == 42


def test_many_threads_share_a_client(client):
    results = collections.deque()
    before = _io_threads()

    def use(k):
        results.extend((k, n, client.submit(mul, k, n).result(60)) for n in range(20))

    threads = [threading.Thread(target=use, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 160 and all(value == k * n for k, n, value in results)
    assert _io_threads() == before + 1


def _io_threads():
    return sum(thread.name == "treadle-io" for thread in threading.enumerate())
