"""What travels: the user's own modules by value, classes that stay themselves, arrays; decorated functions."""

import importlib
import math
import sys
import textwrap

import pytest

import treadle
from treadle import Client

OFFSET = 100


class Account:
    def __init__(self, amount):
        self.amount = amount

    def double(self):
        return Account(self.amount * 2)


def opened(amount):
    return Account(amount)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of the user's, which no worker can import."""
    name = "own_package_of_the_user"
    root = tmp_path / name
    root.mkdir()
    (root / "__init__.py").write_text("from . import deep\nSCALE = 3\n")
    (root / "deep.py").write_text(
        textwrap.dedent(
            """
            import math
            from dataclasses import dataclass

            class Late(ValueError):
                pass

            @dataclass
            class Point:
                x: int
                y: int

                def length(self):
                    return math.hypot(self.x, self.y)

            def helper(n):
                return n * FACTOR

            FACTOR = 7

            def scaled(n):
                import sys
                assert "own_package_of_the_user" not in sys.modules
                return helper(n)

            def late(n):
                raise Late(n)

            def moved(point):
                return Point(point.x + 1, point.y + 1)
            """
        )
    )
    (root / "uses.py").write_text("from . import deep\n\ndef by_module(n):\n    return deep.helper(n) + 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module(name)
    for loaded in [one for one in sys.modules if one.partition(".")[0] == name]:
        del sys.modules[loaded]


def test_modules_of_the_user_go_by_value(client, package):
    uses = importlib.import_module(package.__name__ + ".uses")
    assert client.submit(package.deep.scaled, 6).result() == 42
    assert client.submit(uses.by_module, 6).result() == 43
    package.deep.FACTOR = 8
    assert client.submit(package.deep.scaled, 6).result() == 48, "as it is now"
    import cloudpickle

    assert cloudpickle.list_registry_pickle_by_value() == set(), "what others pickle is left as it was"


def test_classes_of_the_user_come_back_as_themselves(client, package):
    point = client.submit(package.deep.moved, package.deep.Point(2, 3)).result()
    assert type(point) is package.deep.Point and point == package.deep.Point(3, 4) and point.length() == 5
    error = client.submit(package.deep.late, 5).exception()
    assert type(error) is package.deep.Late and error.args == (5,)
    account = client.submit(opened, 4).result()
    assert type(account) is Account and client.submit(account.double).result().amount == 8


class Tariff:
    """A class of a module that goes by value."""

    rate = 3
    used = 0

    def price(self):
        return self.rate * OFFSET


def test_a_result_leaves_the_classes_of_its_receiver_as_they_are(client, monkeypatch):
    """What comes back brings the class as the worker had it; ours may have changed since, and has our globals."""
    method = Tariff.price
    task = client.submit(lambda tariff: tariff, Tariff())
    task.task_id
    monkeypatch.setattr(Tariff, "used", 5)
    assert type(task.result()) is Tariff
    assert (Tariff.used, Tariff.price) == (5, method)
    monkeypatch.setitem(globals(), "OFFSET", 7)
    assert task.result().price() == 21 and client.submit(Tariff().price).result() == 21


def test_a_class_from_elsewhere_is_filled_and_kept_up_to_date():
    """A process that did not make the class has it from the results alone."""
    import cloudpickle
    from treadle._pickling import loads

    source = "class Point:\n    scale = {}\n    def __init__(self, x): self.x = x\n    def scaled(self): return self.x * self.scale\n"
    space = {"__name__": "__main__"}
    exec(source.format(2), space)
    first = cloudpickle.dumps(space["Point"](4))
    space["Point"].scale = 3
    second = cloudpickle.dumps(space["Point"](4))
    tracked = cloudpickle.cloudpickle._DYNAMIC_CLASS_TRACKER_BY_ID
    theirs = space.pop("Point")
    tracked.pop(next(key for key, cls in list(tracked.items()) if cls is theirs))  # as in another process
    one = loads(first)
    assert type(one) is not theirs and one.scaled() == 8
    two = loads(second)
    assert type(two) is type(one) and two.scaled() == 12


def test_modules_may_go_by_reference(client, package):
    treadle.pickle_by_reference(package)
    try:
        error = client.submit(package.deep.scaled, 6).exception()
        assert "own_package_of_the_user" in str(error) and "--path" in str(error)
    finally:
        treadle.pickle_by_value(package)
    assert client.submit(package.deep.scaled, 6).result() == 42


def test_installed_modules_go_by_name():
    from treadle._pickling import dumps_function

    assert len(dumps_function(math.hypot)) < 60 and len(dumps_function(pytest.approx)) < 100


def test_arrays(client):
    numpy = pytest.importorskip("numpy")
    array = numpy.arange(300_000, dtype="f8").reshape(300, 1000)
    product = client.submit(lambda a: a.T @ a[:, :2], array).result()
    assert numpy.array_equal(product, array.T @ array[:, :2])
    whole = client.submit(lambda a: a + 1, array).result()  # too large to come with other results
    assert whole.shape == (300, 1000) and numpy.array_equal(whole, array + 1)
    assert [float(x) for x in client.map(numpy.sqrt, numpy.arange(4.0))] == [0.0, 1.0, math.sqrt(2), math.sqrt(3)]


def test_frames(client):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1, 2, 3], "b": list("xyz")})
    assert client.submit(lambda f: f[f.a > 1].reset_index(drop=True), frame).result().b.tolist() == ["y", "z"]


def test_large_arguments_and_results_among_small_ones(client):
    sizes = [10, 3_000_000, 20, 300_000, 30, 9_000_000, 40]
    assert [len(text) for text in client.map(lambda n: b"x" * n, sizes)] == sizes
    assert list(client.map(len, [b"x" * size for size in sizes])) == sizes


# ---- decorated functions


@treadle.function
def square(x):
    """The square of x."""
    return x * x


@treadle.function(retries=2, group="decorated")
def factorial(n):
    return 1 if n < 2 else n * factorial(n - 1)


def test_decorated_function(client, url, monkeypatch):
    monkeypatch.setenv("TREADLE_URL", url)
    assert square(3) == 9 and square.__doc__ == "The square of x." and square.__name__ == "square"
    assert square.call(4) == 16 and square.submit(5).result() == 25
    assert list(square.map(range(5))) == [0, 1, 4, 9, 16] and list(square.map(range(5), chunksize=2)) == [0, 1, 4, 9, 16]
    assert client.submit(square, 6).result() == 36
    assert factorial.call(5) == 120, "in its own globals it is the plain function"
    task_id = factorial.submit(3).task_id
    assert task_id in [row["task_id"] for row in client.tasks(group="decorated", limit=5)]
    assert client.future(task_id).info()["options"]["retries"] == 2
    assert "square" in repr(square) and "retries=2" in repr(factorial)


def test_options(client):
    function = client.register(square, time_limit=20)
    task = client.submit(function.options(priority=7, queue="default"), 3)
    options = task.info()["options"]
    assert task.result() == 9 and (options["priority"], options["time_limit"]) == (7, 20)
    with pytest.raises(TypeError, match="did you mean 'priority'"):
        function.options(prioritty=1)
    assert client.function(function.function_id).call(5) == 25
    with pytest.raises(ValueError, match="chunksize at 1"):
        client.function(function.function_id).map([1], chunksize=2)
    with pytest.raises(TypeError, match="known by its id only"):
        client.function(function.function_id)(3)
    with pytest.raises(treadle.NotFound):
        client.function("00000000-0000-0000-0000-000000000000")


def test_logs(client):
    def speaks(n):
        print("n is", n)
        return n

    future = client.submit(speaks, 3)
    assert future.result() == 3 and future.logs() == "n is 3\n"


def test_seed_names(url):
    with Client(url) as client:
        function_id = client.register_function(square)
        task_id = client.execute_function(function_id, 7)
        assert client.get_result(task_id) == 49 and client.get_status(task_id) == "COMPLETED"


def test_progress(client, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert list(client.map(square, range(5), progress=True)) == [0, 1, 4, 9, 16]
    assert "5 of 5 calls" in capsys.readouterr().err
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False, raising=False)
    assert list(client.map(square, range(3), progress=True)) == [0, 1, 4] and capsys.readouterr().err == ""


def test_progress_by_tqdm(client, capsys):
    pytest.importorskip("tqdm", reason="python3-tqdm is not installed")
    assert list(client.map(square, range(5), progress=True)) == [0, 1, 4, 9, 16]
    assert "5/5" in capsys.readouterr().err


def test_notebook_reprs(client, url):
    assert f'href="{url}/docs"' in client._repr_html_() and "&lt;treadle.Function" in square._repr_html_()
