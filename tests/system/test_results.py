"""Results are decoded *and used* in a clean interpreter that has dill and nothing of ours."""

import cloudpickle
import dill
import pytest

import wire
from server import other_interpreters

pytestmark = pytest.mark.cells

USE = """
import codecs, sys
sys.modules["treadle"] = None
{before}
import dill
x = dill.loads(codecs.decode(sys.stdin.read().encode(), "base64"))
print({use})
"""

# The client's script: the function that runs, and what its result must answer in another process.
SCRIPT = """
import collections, dataclasses, enum, functools, math
SCALE = 10

class Point:
    count = 0
    def __init__(self, x, y):
        self.x, self.y = x, y
    def norm(self):
        return math.hypot(self.x, self.y) * SCALE
    @classmethod
    def origin(cls):
        return cls(0, 0)
    @staticmethod
    def unit():
        return 1
    def __eq__(self, other):
        return isinstance(other, Point) and (self.x, self.y) == (other.x, other.y)

class Point3(Point):
    def __init__(self, x, y, z):
        super().__init__(x, y)
        self.z = z
    def norm(self):
        return super().norm() + self.z

class Color(enum.Enum):
    RED = 1
    BLUE = 2
    def upper(self):
        return self.name

@dataclasses.dataclass
class Order:
    name: str
    lines: list = dataclasses.field(default_factory=list)
    def total(self):
        return sum(self.lines) * SCALE

Pair = collections.namedtuple("Pair", "left right")

class Slim:
    __slots__ = ("a", "b")
    def __init__(self, a):
        self.a = a

def point(): return Point(3, 4)
def points(): return {"all": [Point(i, i) for i in range(3)]}
def point3(): return Point3(3, 4, 5)
def color(): return Color.BLUE
def colors(): return list(Color)
def order(): return Order("x", [1, 2, 3])
def pair(): return Pair(1, [2])
def slim(): return Slim(9)
def closure():
    k = 5
    def add(n): return n + k + SCALE
    return add
def partial(): return functools.partial(pow, 2)
def method(): return Point(6, 8).norm
def cls(): return Point
def cycle():
    p = Point(1, 2)
    p.me = p
    return p
def data(): return {"a": [1, 2.5, None, True], "b": (b"x", "y"), "c": {3}}
def numbers():
    import numpy
    return numpy.arange(12).reshape(3, 4)[:, ::2]
def when():
    import datetime, decimal, pathlib, re, uuid
    utc = datetime.timezone.utc
    return [datetime.datetime(2026, 1, 2, tzinfo=utc), decimal.Decimal("1.10"), pathlib.PurePosixPath("/a/b"),
    re.compile("a+"), uuid.UUID(int=5), 2 ** 100, range(3), 1j, ...]
"""

USES = {
    "point": ("[x.norm(), x == type(x)(3, 4), type(x).origin().norm(), x.unit()]", "[50.0, True, 0.0, 1]"),
    "points": ("[p.norm() == (2 ** 0.5) * p.x * 10 for p in x['all']]", "[True, True, True]"),
    "point3": ("[x.norm(), isinstance(x, type(x).__mro__[1])]", "[55.0, True]"),
    "color": (
        "[x.value, x.upper(), x is type(x).BLUE, x == type(x)(2), x is not type(x).RED]",
        "[2, 'BLUE', True, True, True]",
    ),
    "colors": ("[[c.name for c in x], x[0] is type(x[0]).RED]", "[['RED', 'BLUE'], True]"),
    "order": ("[x.total(), x.name, x == type(x)('x', [1, 2, 3])]", "[60, 'x', True]"),
    "pair": ("[x.left, x.right, x._replace(left=5).left, tuple(x)]", "[1, [2], 5, (1, [2])]"),
    "slim": ("[x.a, hasattr(x, 'b'), hasattr(x, '__dict__')]", "[9, False, False]"),
    "closure": ("x(1)", "16"),
    "partial": ("x(10)", "1024"),
    "method": ("x()", "100.0"),
    "cls": ("[x(0, 2).norm(), x.__name__]", "[20.0, 'Point']"),
    "cycle": ("[x.me is x, x.norm() > 20]", "[True, True]"),
    "data": ("x == {'a': [1, 2.5, None, True], 'b': (b'x', 'y'), 'c': {3}}", "True"),
    "numbers": ("[x.tolist(), x.dtype.kind, x.sum().item()]", "[[[0, 2], [4, 6], [8, 10]], 'i', 30]"),
    "when": (
        "[x[0].isoformat(), str(x[1]), x[2].name, x[3].match('aa').end(), "
        "x[4].int, x[5] == 2**100, list(x[6]), *x[7:]]",
        "['2026-01-02T00:00:00+00:00', '1.10', 'b', 2, 5, True, [0, 1, 2], 1j, Ellipsis]",
    ),
}
# dill 0.3.6 cannot read a nested Enum that it wrote itself: here the client needs cloudpickle.
NEEDS_CLOUDPICKLE = {"color", "colors"}


def script_function(name):
    names = {"__name__": "__main__"}
    exec(compile(SCRIPT, "client.py", "exec"), names)
    return names[name]


CASES = [("cloudpickle", name) for name in USES] + [("dill", name) for name in USES if name not in NEEDS_CLOUDPICKLE]


@pytest.mark.parametrize("pickler, name", CASES)
def test_result_is_usable(server, clean_python, pickler, name):
    function = script_function(name)
    body = cloudpickle.dumps(function) if pickler == "cloudpickle" else dill.dumps(function, recurse=True)
    status, result = server.finished(server.execute(server.register(body)))
    assert status == "COMPLETED", wire.untext(result)
    use, expected = USES[name]
    before = "" if name in NEEDS_CLOUDPICKLE else 'sys.modules["cloudpickle"] = None'
    assert clean_python(USE.format(before=before, use=use), result).strip() == expected


@pytest.mark.parametrize("interpreter", other_interpreters(), ids=str)
@pytest.mark.parametrize("name", ["data", "when", "partial"])
def test_plain_results_in_another_minor_version(server, clean_python, name, interpreter):
    """No bytecode in them: plain pickle reads them on every version, with dill there or not."""
    status, result = server.finished(server.execute(server.register(cloudpickle.dumps(script_function(name)))))
    assert status == "COMPLETED", wire.untext(result)
    use, expected = USES[name]
    assert (
        clean_python(USE.format(before="", use=use).replace("dill", "pickle"), result, interpreter=interpreter).strip()
        == expected
    )
