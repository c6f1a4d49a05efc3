"""Client, Function and Future against a real server."""

import concurrent.futures
import time

import pytest

import treadle
from treadle import Client, Function, Future

BASE = 100


class Account:
    def __init__(self, amount):
        self.amount = amount

    def double(self):
        return Account(self.amount * 2)


class Overdrawn(ValueError):
    pass


def add(a, b=0, *, c=0):
    return BASE + a + b + c


def sleep(seconds):
    time.sleep(seconds)
    return seconds


def test_submit(client):
    future = client.submit(add, 1, 2, c=3)
    assert isinstance(future, Future) and future.result() == 106
    assert future.done() and future.status() == "COMPLETED" and future.exception() is None
    assert future.result(0) == 106 and future.task_id in repr(future)


def test_register(client):
    function = client.register(add)
    assert isinstance(function, Function) and function.name == "add" and function.function_id in repr(function)
    assert client.submit(function, 5).result() == 105
    assert client.register(lambda x: -x, name="minus").name == "minus"


def test_map_is_in_order(client):
    def late(n):
        import time

        time.sleep(0.3 if n == 0 else 0)
        return n * n

    results = client.map(late, range(20))
    assert iter(results) is results and list(results) == [n * n for n in range(20)]
    assert list(client.map(add, [1, 2, 3], [10, 20])) == [111, 122], "as long as the shortest"
    assert list(client.map(client.register(add), [])) == []
    with pytest.raises(TypeError):
        client.map(add)


def test_map_submits_before_it_is_read(client):
    begun = time.monotonic()
    results = client.map(sleep, [1.5, 1.5])
    time.sleep(1.6)
    assert list(results) == [1.5, 1.5] and time.monotonic() - begun < 2.9


def test_map_raises_at_the_failed_place(client):
    results = client.map(lambda n: 10 // n, [5, 0, 1])
    assert next(results) == 2
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_globals_of_the_moment(client):
    """A plain function is looked at again at each submit; an unchanged one is registered once."""
    scale = [1]

    def scaled(x):
        return x * scale[0]

    assert client.submit(scaled, 5).result() == 5
    scale[0] = 7
    assert client.submit(scaled, 5).result() == 35


def test_unchanged_functions_are_registered_once(client, monkeypatch):
    paths = []
    call = client._transport.call
    monkeypatch.setattr(
        client._transport, "call", lambda method, path, *a, **k: (paths.append(path), call(method, path, *a, **k))[1]
    )
    assert [client.submit(add, n).result() for n in range(5)] == [100 + n for n in range(5)]
    assert paths == ["/register_function"]


def test_instances_of_own_classes(client):
    assert client.submit(Account.double, Account(21)).result().amount == 42
    assert client.submit(Account(4).double).result().double().amount == 16
    assert client.submit(lambda: None).result() is None


def test_exception_of_the_function(client):
    def fail(key):
        raise KeyError(key)

    future = client.submit(fail, "lost-key")
    with pytest.raises(KeyError, match="lost-key") as caught:
        future.result()
    assert isinstance(caught.value.__cause__, treadle.TaskFailed) and "lost-key" in str(caught.value.__cause__)
    assert isinstance(future.exception(), KeyError) and future.status() == "FAILED" and future.done()


def test_exception_class_of_the_script(client):
    def fail():
        raise Overdrawn("by 17")

    with pytest.raises(ValueError, match="by 17"):
        client.submit(fail).result()


@pytest.mark.parametrize("error", ["SystemExit(0)", "KeyboardInterrupt()", "GeneratorExit()"])
def test_exceptions_that_would_end_the_caller(client, error):
    def fail(source):
        raise eval(source)

    future = client.submit(fail, error)
    with pytest.raises(treadle.TaskFailed):
        future.result()
    assert isinstance(future.exception(), treadle.TaskFailed)


def test_exception_can_be_logged_and_raised_again(client):
    import traceback

    error = client.submit(lambda: 1 / 0).exception()
    assert "division by zero" in "".join(traceback.format_exception(type(error), error, error.__traceback__))


def test_timeout(client):
    future = client.submit(sleep, 1.5)
    begun = time.monotonic()
    with pytest.raises(concurrent.futures.TimeoutError) as caught:
        future.result(0.2)
    assert 0.15 < time.monotonic() - begun < 1 and isinstance(caught.value, treadle.TreadleError)
    with pytest.raises(treadle.ResultTimeout):
        future.exception(timeout=0)
    assert future.status() in ("QUEUED", "RUNNING") and not future.done()
    assert future.result(10) == 1.5


def test_map_timeout(client):
    with pytest.raises(treadle.ResultTimeout):
        list(client.map(sleep, [0.0, 2.0], timeout=0.3))


def test_future_of_an_id(client, url):
    task_id = client.submit(add, 7).task_id
    with Client(url) as other:
        assert other.future(task_id).result() == 107
        with pytest.raises(treadle.NotFound, match="00000000-0000-0000-0000-000000000000"):
            other.future("00000000-0000-0000-0000-000000000000").result()


def test_refused_payloads(client):
    with pytest.raises(treadle.PayloadRefused) as caught:
        client.register([1, 2])
    assert "list, not a function" in str(caught.value) and caught.value.status == 400
    with pytest.raises(treadle.NotFound):
        client.submit(Function("00000000-0000-0000-0000-000000000000", "gone"), 1).result()
    with pytest.raises(treadle.RequestRefused):
        client.future("no-id").status()
    with pytest.raises(treadle.PayloadRefused, match="not the id of a task"):
        client.future("no-id").result()


def test_arguments_that_cannot_be_pickled(client):
    with pytest.raises(TypeError):
        client.submit(add, (i for i in []))


def test_results_that_cannot_be_read_here(client):
    """Its class needs a module that only the server has."""

    def unreadable():
        import sys
        import types

        module = sys.modules["only_at_the_server"] = types.ModuleType("only_at_the_server")
        exec("class Thing: pass", module.__dict__)
        return module.Thing()

    future = client.submit(unreadable)
    with pytest.raises(treadle.ResultUnreadable, match="only_at_the_server"):
        future.result()
    assert future.status() == "COMPLETED"


def test_no_server():
    import socket

    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(treadle.ServerUnreachable) as caught:
            Client(url).submit(add, 1)
    assert url in str(caught.value) and "treadle serve" in str(caught.value)
    assert isinstance(caught.value, ConnectionError)


@pytest.mark.parametrize("wrong", ["", "ftp://x", "http://"])
def test_urls_that_are_none(wrong):
    with pytest.raises(ValueError):
        Client(wrong)


def test_url_without_scheme(url):
    with Client(url.removeprefix("http://")) as client:
        assert client.url == url and client.submit(add, 1).result() == 101


def test_server_restarts_between_calls(new_server):
    """A kept connection that has gone stale is replaced, for submits as well; ids stay valid."""
    with Client(new_server.url, retry_for=0.5) as client:
        function = client.register(add)
        future = client.submit(function, 1)
        assert future.result() == 101
        new_server.wanted_port = new_server.port
        new_server.stop()
        new_server.start()
        assert client.submit(function, 2).result() == 102
        new_server.kill()
        with pytest.raises(treadle.ServerUnreachable):
            client.submit(function, 3).result()
        new_server.start()
        assert client.submit(function, 4).result() == 104
        assert client.future(future.task_id).result() == 101


def test_closed_client_opens_again(url):
    client = Client(url)
    assert client.submit(add, 1).result() == 101
    client.close()
    assert client.submit(add, 2).result() == 102
    client.close()
