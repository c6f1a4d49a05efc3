"""What may stand in a payload: styles of base64, pickle protocols, sizes."""

import hashlib
import operator
import pickle
import re

import cloudpickle
import dill
import pytest

import wire

pytestmark = pytest.mark.cells

STYLES = {
    "76 columns and a newline": lambda raw: wire.armor(raw),
    "stripped": lambda raw: wire.armor(raw).strip(),
    "one line": lambda raw: wire.armor(raw).replace("\n", ""),
    "CRLF": lambda raw: wire.armor(raw).replace("\n", "\r\n"),
    "spaces": lambda raw: wire.armor(raw).replace("\n", " "),
    "spaces everywhere": lambda raw: " " + " ".join(wire.armor(raw).replace("\n", "")) + " ",
    "tabs and blank lines": lambda raw: "\n\t" + wire.armor(raw).replace("\n", "\n\n\t"),
    "64 columns": lambda raw: re.sub("(.{64})", "\\1\n", wire.armor(raw).replace("\n", "")),
}
PICKLERS = {"dill": dill, "cloudpickle": cloudpickle, "pickle": pickle}
VALUE = {"n": [1, -2, 2**80], "x": (1.5, None, True), "s": "héllo ☃", "b": b"\0\xff" * 100, "set": {1, 2}}


def echo(*args, **kwargs):
    """Long enough, with this text, that its pickle fills several lines of base64 in every style; it gives back what it
    gets.
    """
    return args, kwargs


@pytest.mark.parametrize("style", STYLES.values(), ids=STYLES.keys())
def test_base64_styles(server, style):
    function_id = server.register(style(dill.dumps(wire.as_main(echo))))
    payload = style(dill.dumps(((VALUE, "x" * 300), {"key": [1]})))
    assert server.value(server.execute_text(function_id, payload)) == ((VALUE, "x" * 300), {"key": [1]})


@pytest.mark.parametrize("size", [0, 1, 2, 3, 40, 56, 57, 58, 114, 1000, 100_000])
def test_results_are_in_the_first_form(server, size):
    def zeros(size):
        return b"\0" * size

    status, result = server.finished(server.execute(server.register(zeros), size))
    assert status == "COMPLETED" and wire.untext(result) == b"\0" * size
    assert result == wire.armor(wire.bare(result)), "lines of 76 columns, and a newline at the end"


def test_none_comes_back_as_none(server):
    def nothing():
        pass

    status, result = server.finished(server.execute(server.register(nothing)))
    assert status == "COMPLETED" and result != "" and wire.untext(result) is None


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("pickler", PICKLERS)
def test_protocols(server, pickler, protocol):
    dumps = PICKLERS[pickler].dumps
    # pickle itself can send a function by reference only.
    function = operator.itemgetter if pickler == "pickle" else wire.as_main(echo)
    function_id = server.register(dumps(function, protocol=protocol))
    task_id = server.execute_text(function_id, wire.armor(dumps(((VALUE,), {}), protocol=protocol)))
    result = server.value(task_id)
    if pickler == "pickle":
        assert isinstance(result, operator.itemgetter)
    else:
        assert result == ((VALUE,), {})


@pytest.mark.parametrize("pickler", ["dill", "cloudpickle"])
def test_closures_defaults_and_partials(server, pickler):
    import functools

    secret = [1, 2, 3]

    def closure(x, y=10, *, z=100):
        return sum(secret) + x + y + z

    def power(base, exponent):
        return base**exponent

    dumps = PICKLERS[pickler].dumps
    assert server.value(server.execute(server.register(dumps(wire.as_main(closure))), 1000)) == 1116
    assert (
        server.value(server.execute(server.register(dumps(functools.partial(wire.as_main(power), exponent=3))), 5))
        == 125
    )
    assert (
        server.value(server.execute(server.register(dumps(wire.as_main(lambda: "from a lambda"))))) == "from a lambda"
    )


def test_bodies_of_400_kb(server):
    function_id = server.register(echo)
    for n in range(10):
        data = bytes([n]) * 300_000
        assert server.value(server.execute(function_id, data)) == ((data,), {})


def test_64_mib_payload(server):
    def measure(data):
        import hashlib

        return len(data), hashlib.sha256(data).hexdigest()

    data = bytes(range(256)) * (64 << 12)
    assert len(data) == 64 << 20
    task_id = server.execute(server.register(measure), data)
    assert server.value(task_id, 60) == (len(data), hashlib.sha256(data).hexdigest())


def test_16_mib_result(server):
    def big(size):
        return b"ab" * (size // 2)

    assert server.value(server.execute(server.register(big), 16 << 20), 60) == b"ab" * (8 << 20)


def test_big_function_body(server):
    table = list(range(200_000))

    def look_up(i):
        return table[i]

    function_id = server.register(cloudpickle.dumps(look_up))
    assert server.value(server.execute(function_id, -1)) == 199_999


def test_max_payload(serve):
    def grow(data):
        return data * 3

    server = serve("-w", 1, "--max-payload", 1 << 20)
    function_id = server.register(grow)
    assert server.value(server.execute(function_id, b"x" * 1000)) == b"x" * 3000
    for path, fields in (("/execute_function", {"function_id": function_id}), ("/register_function", {"name": "f"})):
        reply = server.post(path, {**fields, "payload": wire.args(b"x" * (1 << 20))})
        assert reply.status == 413 and "--max-payload" in reply.detail, reply
    assert server.value(server.execute(function_id, b"y")) == b"yyy"


@pytest.mark.cells("sqlite-local", "sqlite-push", "sqlite-pull")
def test_max_payload_of_results(serve):
    """On Redis the flag is the gateway's alone, and is about requests."""

    def grow(data):
        return data * 3

    server = serve("-w", 1, "--max-payload", 1 << 20)
    function_id = server.register(grow)
    error = server.failure(server.execute(function_id, b"x" * 700_000), 10)
    assert "--max-payload" in str(error)
    assert server.value(server.execute(function_id, b"y")) == b"yyy"


def test_numpy_and_pandas(server):
    numpy = pytest.importorskip("numpy")
    pandas = pytest.importorskip("pandas")

    def twice(x):
        return x * 2

    function_id = server.register(twice)
    array = numpy.arange(10_000, dtype="float32").reshape(100, 100)
    result = server.value(server.execute(function_id, array))
    assert result.dtype == array.dtype and (result == array * 2).all()
    strided = numpy.asfortranarray(array)[::2, ::-1]
    assert (server.value(server.execute(function_id, strided)) == strided * 2).all()
    frame = pandas.DataFrame({"a": [1, 2], "b": [0.5, 1.5]})
    assert server.value(server.execute(function_id, frame)).equals(frame * 2)
