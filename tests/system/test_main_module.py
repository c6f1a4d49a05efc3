"""Functions of a script: `__main__` at the executor is the user's alone, one for each function."""

import json
import subprocess
import sys
import textwrap

import cloudpickle
import dill
import pytest

import wire
from server import ROOT, clean_env

HEAD = """
import codecs, collections, dataclasses, enum, json, math, sys, time, urllib.request
import dill
URL = sys.argv[1]

def text(obj, **how):
    return codecs.encode(dill.dumps(obj, **how), "base64").decode()

def ask(path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(URL + path, data, {"Content-Type": "application/json"})
    return json.load(urllib.request.urlopen(request))

def run(fn, *args, **how):
    function_id = ask("/register_function", {"name": fn.__name__, "payload": text(fn, **how)})["function_id"]
    task_id = ask("/execute_function", {"function_id": function_id, "payload": text((args, {}), **how)})["task_id"]
    while (answer := ask("/result/" + task_id))["status"] not in ("COMPLETED", "FAILED"):
        time.sleep(0.01)
    result = dill.loads(codecs.decode(answer["result"].encode(), "base64"))
    if answer["status"] == "FAILED":
        raise result
    return result
"""


def script(server, tmp_path, body):
    """Runs a client script, in a process of its own; returns the JSON that it prints."""
    path = tmp_path / "client.py"
    path.write_text(HEAD + textwrap.dedent(body))
    done = subprocess.run(
        [sys.executable, path, server.url], capture_output=True, text=True, timeout=60, env=clean_env(), cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_main_is_clean(server, tmp_path):
    """A plain dill payload refers to `__main__`: there is nothing in it but what every module has."""
    assert (
        script(
            server,
            tmp_path,
            """
        def names_and_module():
            import __main__, sys
            mine = sorted(n for n in globals() if not n.startswith("__"))
            return [mine, vars(__main__) is globals(), __main__.__name__, sys.modules["__main__"] is __main__]

        print(json.dumps(run(names_and_module)))
    """,
        )
        == [[], True, "__main__", True]
    )


def test_globals_helpers_and_recursion_travel(server, tmp_path):
    assert (
        script(
            server,
            tmp_path,
            """
        LIMIT = 5
        TABLE = {"a": [1, 2]}

        def helper(n):
            return 1 if n < 2 else n * helper(n - 1)

        def work(n):
            return math.floor(math.pi) + helper(n) + LIMIT + TABLE["a"][1]

        print(json.dumps(run(work, 5, recurse=True)))
    """,
        )
        == 3 + 120 + 5 + 2
    )


def test_classes_of_a_script_go_and_come(server, tmp_path):
    assert (
        script(
            server,
            tmp_path,
            """
        class Point:
            def __init__(self, x, y):
                self.x, self.y = x, y
            def norm(self):
                import math
                return math.hypot(self.x, self.y)

        @dataclasses.dataclass
        class Order:
            name: str
            count: int = 1
            def total(self):
                return self.count * len(self.name)

        class Slim:
            __slots__ = ("a",)
            def __init__(self, a):
                self.a = a

        Pair = collections.namedtuple("Pair", "left right")

        def scale(p, factor):
            return type(p)(p.x * factor, p.y * factor)

        def same(x):
            return x

        p = run(scale, Point(3, 4), 10)
        order = run(same, Order("abc", 4))
        slim = run(same, Slim([1]))
        pair = run(same, Pair(1, 2))
        print(json.dumps([p.norm(), order.total(), slim.a, pair.left + pair.right]))
    """,
        )
        == [50.0, 12, [1], 3]
    )


def test_a_class_made_inside_the_function(server, tmp_path):
    """Its name is known to no client: it has to come with its code."""
    assert (
        script(
            server,
            tmp_path,
            """
        def make():
            class Account:
                rate = 3
                def __init__(self, n):
                    self.n = n
                def interest(self):
                    return self.n * self.rate
            return Account(14)

        print(json.dumps(run(make).interest()))
    """,
        )
        == 42
    )


def twins(dumps):
    """Two functions with equal names, globals, helpers and classes, which differ in everything that these give back."""
    source = textwrap.dedent("""
        import os
        LABEL = {label!r}
        seen = []

        def helper():
            return LABEL

        class Foo:
            def who(self):
                return LABEL + "'s Foo"

        def work(foo):
            seen.append(LABEL)
            return LABEL, helper(), Foo().who(), foo.who(), isinstance(foo, Foo), sorted(set(seen)), os.getpid()
    """)
    made = []
    for label in ("red", "blue"):
        names = {"__name__": "__main__", "__builtins__": __builtins__}
        exec(source.format(label=label), names)
        made.append((label, dumps(names["work"]), wire.armor(dumps(((names["Foo"](),), {})))))
    return made


@pytest.mark.parametrize("pickler", ["cloudpickle", "dill"])
def test_two_functions_with_equal_names_by_turns_in_one_child(serve, pickler):
    dumps = cloudpickle.dumps if pickler == "cloudpickle" else lambda obj: dill.dumps(obj, recurse=True)
    server = serve("-w", 1)
    functions = [(label, server.register(body), args) for label, body, args in twins(dumps)]
    tasks = [
        (label, server.execute_text(function_id, args)) for _ in range(20) for label, function_id, args in functions
    ]
    children = {"red": set(), "blue": set()}
    for label, task_id in tasks:
        *said, _, seen, child = server.value(task_id)
        assert said == [label, label, f"{label}'s Foo", f"{label}'s Foo"] and seen == [label]
        children[label].add(child)
    assert children["red"] & children["blue"], "no child has run both, so nothing was shown"


def test_plain_dill_functions_share_no_globals(serve):
    """By reference to `__main__`: what one function stores there, another function must not find."""

    def store(value):
        global secret_of_store
        secret_of_store = value
        import os

        return os.getpid()

    def look():
        import os

        return globals().get("secret_of_store"), os.getpid()

    server = serve("-w", 1)
    one, other = server.register(store), server.register(look)
    shared = 0
    for n in range(5):
        child = server.value(server.execute(one, n))
        found, same = server.value(server.execute(other))
        assert found is None
        shared += child == same
    assert shared, "no child has run both, so nothing was shown"


def test_the_sdk_is_not_needed_there(server):
    def paths():
        import sys

        return [p for p in sys.path if "python/treadle" in p], "treadle" in sys.modules

    found, loaded = server.run(paths)
    assert found == [] and loaded is False and str(ROOT / "python") not in found
