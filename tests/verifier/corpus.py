"""Payloads as users make them: (label, bytes) pairs by pickle, dill and cloudpickle at protocols 2 to 5."""

import array
import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import importlib
import inspect
import io
import ipaddress
import operator
import pathlib
import pickle
import re
import sys
import types
import uuid
import warnings
import zoneinfo

import cloudpickle
import dill
import numpy
import pandas

PROTOCOLS = (2, 3, 4, 5)

MODULES = """abc argparse ast asyncio.events base64 bdb bisect calendar cmd codecs collections colorsys compileall configparser
contextlib copy copyreg csv dataclasses datetime difflib dis doctest email.utils enum filecmp fileinput fnmatch fractions
functools getopt getpass gettext glob gzip hashlib heapq hmac html html.entities http.client imghdr inspect ipaddress json
keyword linecache locale logging lzma mailcap mimetypes netrc ntpath numbers opcode operator optparse os pathlib pickletools
pkgutil platform plistlib posixpath pprint profile quopri random re reprlib runpy sched secrets shlex shutil sndhdr socket
ssl stat statistics string stringprep struct subprocess symtable tabnanny tarfile tempfile textwrap threading timeit token
tokenize trace traceback types typing unittest.mock urllib.parse urllib.request uu uuid warnings wave weakref webbrowser
xml.sax.saxutils zipapp zipfile""".split()


class Plain:
    def __init__(self, value):
        self.value = value

    def method(self, more):
        return self.value, more


class Slots:
    __slots__ = ("a", "b")

    def __init__(self):
        self.a, self.b = 1, [2]


@dataclasses.dataclass(frozen=True)
class Data:
    x: int
    y: str = "two"


class Colour(enum.Enum):
    RED = 1
    GREEN = 2


class Flags(enum.IntFlag):
    A = 1
    B = 2


Point = collections.namedtuple("Point", "x y")


class Dicty(dict):
    pass


class Listy(list):
    pass


class Tuply(tuple):
    pass


class Failure(Exception):
    def __init__(self, code, text):
        super().__init__(code, text)
        self.code = code


class Getnewargs:
    def __new__(cls, *, key):
        made = super().__new__(cls)
        made.key = key
        return made

    def __getnewargs_ex__(self):
        return (), {"key": self.key}


def größe(wert):  # a name that protocol 3 writes in UTF-8 behind GLOBAL
    return wert * 2


MAIN_THINGS = (Plain, Slots, Data, Colour, Flags, Point, Dicty, Listy, Tuply, Failure, Getnewargs, größe)


def move_to_main():
    """Makes the classes above look as if a script had defined them."""
    main = sys.modules["__main__"]
    for thing in MAIN_THINGS:
        thing.__module__ = "__main__"
        setattr(main, thing.__name__, thing)


def counter(start):
    step = [start]

    def bump(by=1):
        step[0] += by
        return bump if by > 100 else step[0]

    return bump


def factorial(n):
    return 1 if n < 2 else n * factorial(n - 1)


def generator(n):
    yield from range(n)


async def coroutine(n):
    return n


def keywords(a, /, b, *rest, c=3, **more):
    try:
        with io.StringIO() as out:
            return [x for x in rest if x], {k: v for k, v in more.items()}, out.getvalue(), f"{a!r}{b:>{c}}"
    except (ValueError, KeyError) as e:
        raise RuntimeError("no") from e


def nested_tuple(depth, width=1):
    value = ()
    for _ in range(depth):
        value = (value,) * width
    return value


def nested_list(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


def cyclic_list():
    a = [1]
    a.append(a)
    a.append((a, {"a": a}))
    return a


def tree():
    root = Plain(None)
    root.value = [Plain(root) for _ in range(50)]
    for a, b in zip(root.value, root.value[1:]):
        a.next, b.previous = b, a
    return root


def graph(size):
    """A grid of dicts that share their neighbours: paths without number, yet nothing odd about it."""
    grid = [[{"at": (x, y)} for x in range(size)] for y in range(size)]
    for y in range(size):
        for x in range(size):
            grid[y][x]["next"] = [grid[b][a] for a, b in ((x + 1, y), (x, y + 1)) if a < size and b < size]
    return grid[0][0]


def data():
    shared = "shared text"
    yield from {
        "none": None, "true": True, "zero": 0, "int": 1 << 20, "negative": -5, "long": 1 << 70, "huge": 7**20000,
        "hugest": 1 << 3_000_000, "float": 3.5, "inf": float("inf"), "complex": 1 + 2j, "str": "text", "empty": "", "umlaut": "größe",
        "emoji": "\U0001f600" * 300, "surrogate": "\ud800x", "nul": "a\0b", "longstr": "x" * 70_000, "longmix": "ä\U0001f600€z" * 30_000,
        "bytes": b"bytes", "longbytes": bytes(100_000), "bytearray": bytearray(b"array"), "longbytearray": bytearray(300_000),
        "emptybytearray": bytearray(), "list": [1, 2.5, "x", None], "tuple0": (), "tuple1": (1,), "tuple2": (1, 2), "tuple3": (1, 1, 1),
        "tuple4": (1, 1, 1, "a"), "dict": {"a": 1, 2: "b", (3, 4): 5}, "bigdict": {i: str(i) for i in range(5000)},
        "set": {1, 2, 3}, "frozenset": frozenset({1, "a"}), "nestedfrozen": frozenset({frozenset({1}), frozenset()}),
        "bigset": set(range(10_000)), "deeptuple": nested_tuple(200), "deeplist": nested_list(200),
        "deepkey": {nested_tuple(150): 1}, "tuplekeys": {(i, "k", (i,)): i for i in range(2000)}, "cyclic": cyclic_list(),
        "shared": [shared] * 100_000, "sharedrow": [[0.5] * 1000] * 1000, "floats": [i / 3 for i in range(20_000)],
        "floattuple": tuple(i / 3 for i in range(20_000)), "graph": graph(20), "range": range(5), "slice": slice(1, 2),
        "ellipsis": ..., "notimplemented": NotImplemented, "type": int, "builtin": len, "deque": collections.deque([1], 5),
        "ordered": collections.OrderedDict(a=1), "default": collections.defaultdict(list, a=[1]), "counter": collections.Counter("abca"),
        "chainmap": collections.ChainMap({"a": 1}), "namespace": types.SimpleNamespace(a=1), "array": array.array("d", [1.0]),
        "datetime": datetime.datetime(2024, 2, 3, 4, 5, 6, 7, datetime.timezone.utc),
        "zone": datetime.datetime(2024, 2, 3, tzinfo=zoneinfo.ZoneInfo("UTC")), "date": datetime.date(2024, 1, 1),
        "time": datetime.time(1, 2), "delta": datetime.timedelta(1), "offset": datetime.timezone(datetime.timedelta(hours=2), "X"),
        "decimal": decimal.Decimal("1.10"), "fraction": fractions.Fraction(1, 3), "path": pathlib.PurePosixPath("/a/b"),
        "winpath": pathlib.PureWindowsPath("c:/a"), "regex": re.compile(r"a+(b)", re.I), "uuid": uuid.UUID(int=5),
        "ip": ipaddress.ip_address("10.0.0.1"), "exception": ValueError("bad", 3), "oserror": FileNotFoundError(2, "no", "f"),
        "unicodeerror": UnicodeDecodeError("utf-8", b"x", 0, 1, "why"), "group": ExceptionGroup("g", [KeyError("k")]),
        "partial": functools.partial(operator.add, 1), "partialkw": functools.partial(int, base=2), "boundbuiltin": [].append,
        "method": "abc".upper, "itemgetter": operator.itemgetter(1, 2), "attrgetter": operator.attrgetter("a.b"),
        "methodcaller": operator.methodcaller("f", 1, k=2),
    }.items()
    yield from {
        "plain": Plain([1]), "slots": Slots(), "dataclass": Data(1), "datakey": {Data(1): Data(2)}, "enum": Colour.RED,
        "enumkey": {Colour.GREEN: 1}, "flags": Flags.A | Flags.B, "namedtuple": Point(1, 2), "pointkey": {Point(1, (2,)): 3},
        "dicty": Dicty(a=1), "listy": Listy([1, 2]), "tuply": Tuply((1, 2)), "failure": Failure(3, "text"),
        "newargs": Getnewargs(key=1), "tree": tree(), "mainclass": Plain, "boundmethod": Plain(1).method, "mainfunction": größe,
        "classes": [Plain, Colour, Point],
    }.items()
    yield from arrays()


def arrays():
    grid = numpy.arange(60.0).reshape(6, 10)
    people = numpy.array([(1, 2.5, b"x")], dtype=[("a", "i4"), ("b", "f8"), ("c", "S3")])
    yield from {
        "c": grid, "fortran": numpy.asfortranarray(grid), "strided": grid[::2, ::3], "transposed": grid.T, "zero": numpy.array(5),
        "empty": numpy.zeros((0, 3)), "structured": people, "record": people[0], "objects": numpy.array([1, "a", None], dtype=object),
        "strings": numpy.array(["ä", "bc"]), "times": numpy.array(["2024-01-01"], dtype="M8[D]"), "bools": numpy.array([True]),
        "complexes": grid * 1j, "bigendian": grid.astype(">f4"), "masked": numpy.ma.array([1, 2], mask=[0, 1]), "matrix": grid[:2, :2],
        "float64": numpy.float64(1.5), "int8": numpy.int8(3), "str_": numpy.str_("x"), "bytes_": numpy.bytes_(b"x"),
        "datetime64": numpy.datetime64("2024-01-01"), "dtype": people.dtype, "ufunc": numpy.add, "rng": numpy.random.default_rng(3),
        "oldrng": numpy.random.RandomState(3), "megabyte": numpy.zeros(1 << 17), "readonly": numpy.broadcast_to(grid, (2, 6, 10)),
    }.items()
    frame = pandas.DataFrame({"a": [1, 2, 3], "b": ["x", "y", None], "c": pandas.Categorical(["u", "v", "u"])})
    yield from {
        "frame": frame, "series": frame["a"], "categories": frame["c"], "grouped": frame.groupby("c", observed=True)["a"].sum(),
        "timestamp": pandas.Timestamp("2024-01-01", tz="UTC"), "timeindex": pandas.date_range("2024", periods=9, tz="Europe/Berlin"),
        "multiindex": frame.set_index(["a", "b"]), "interval": pandas.Interval(1, 2), "nat": pandas.NaT, "nullable": frame["a"].astype("Int64"),
        "period": pandas.Period("2024-01"), "wide": pandas.DataFrame(numpy.ones((1000, 30))),
    }.items()


def as_argument(value):
    return ((value, 1), {"key": value})


def dumps_all(label, value, picklers):
    for pickler, dumps in picklers.items():
        for protocol in PROTOCOLS:
            try:
                yield f"{label} {pickler} {protocol}", dumps(value, protocol)
            except Exception:  # not every library takes everything; the counts tell if too few are left
                pass


PICKLERS = {
    "pickle": lambda value, protocol: pickle.dumps(value, protocol),
    "python": lambda value, protocol: python_pickle(value, protocol),
    "dill": lambda value, protocol: dill.dumps(value, protocol),
    "cloudpickle": lambda value, protocol: cloudpickle.dumps(value, protocol),
}
BY_VALUE = {
    "dill": lambda value, protocol: dill.dumps(value, protocol),
    "dill-recurse": lambda value, protocol: dill.dumps(value, protocol, recurse=True),
    "cloudpickle": lambda value, protocol: cloudpickle.dumps(value, protocol),
}


def python_pickle(value, protocol):
    out = io.BytesIO()
    pickle._Pickler(out, protocol).dump(value)
    return out.getvalue()


def values():
    for label, value in data():
        if label in ("hugest", "sharedrow", "shared"):
            yield label, pickle.dumps(as_argument(value), 4)
            continue
        yield from dumps_all("result " + label, value, PICKLERS)
        yield from dumps_all("argument " + label, as_argument(value), PICKLERS)


def as_if_in_main(function):
    """A copy that no module has: dill and cloudpickle write it by value."""
    copy = types.FunctionType(function.__code__, function.__globals__, function.__name__, function.__defaults__, function.__closure__)
    copy.__kwdefaults__ = function.__kwdefaults__
    copy.__module__ = "__main__"
    copy.__qualname__ = "no_such_" + function.__name__
    return copy


def local_class():
    class Local(Plain):
        count = 0

        def method(self, more):
            return super().method(more)

        @property
        def twice(self):
            return self.count * 2

        @staticmethod
        def static():
            return Local

    return Local


def own_functions():
    local = local_class()
    yield from {
        "closure": counter(3), "factorial": as_if_in_main(factorial), "generator": as_if_in_main(generator),
        "coroutine": as_if_in_main(coroutine), "keywords": as_if_in_main(keywords), "lambda": lambda x: x + 1, "nested": lambda x: lambda y: x,
        "partial": functools.partial(lambda a, b: a, 1), "class": local, "instance": local(1), "bound": local(1).method,
        "lru": functools.lru_cache(as_if_in_main(factorial)), "wraps": functools.wraps(factorial)(lambda n: n),
    }.items()


def stdlib_functions(limit):
    for name in MODULES:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = importlib.import_module(name)
        found = [f for _, f in sorted(vars(module).items()) if inspect.isfunction(f) and f.__module__ == module.__name__]
        for function in found[:limit]:
            yield f"{name}.{function.__name__}", function


def functions():
    for label, function in own_functions():
        yield from dumps_all("own " + label, function, BY_VALUE)
    for label, function in stdlib_functions(limit=9):
        yield from dumps_all("reference " + label, function, {"pickle": PICKLERS["pickle"]})
        try:
            copy = as_if_in_main(function)
        except (TypeError, ValueError):
            continue
        yield from dumps_all("value " + label, copy, {"dill": BY_VALUE["dill-recurse"], "cloudpickle": BY_VALUE["cloudpickle"]})
