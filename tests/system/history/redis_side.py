"""Redis as the checker sees it: its append-only file is the log that only grows, its keys are the dump.

After a failover both are those of the new master, which wrote down what it was sent as a replica.
"""

import pathlib
import re
import socket

from history.model import Change, Final
from history.sqlite_side import value_of_text

TASK = re.compile(rb"(?:\{p\d\d\}:)?([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})")
LOG_FLAGS = ("--auto-aof-rewrite-percentage", "0", "--aof-use-rdb-preamble", "no")  # with these it only grows


def commands(path):
    """The commands of an append-only file; a torn one at its end was never acknowledged."""
    data = pathlib.Path(path).read_bytes()
    at = 0
    while at < len(data):
        line, at = _line(data, at)
        if not line.startswith(b"*"):
            continue  # a comment: #TS
        words = []
        for _ in range(int(line[1:])):
            line, at = _line(data, at)
            size = int(line[1:] or b"0")
            words.append(data[at : at + size])
            at += size + 2
        if at > len(data):
            return
        yield words


def _line(data, at):
    end = data.find(b"\r\n", at)
    return (data[at:], len(data)) if end < 0 else (data[at:end], end + 2)


def changes(folder):
    """The log of all tasks, from the folder in which Redis keeps its append-only files."""
    found = []
    files = sorted(pathlib.Path(folder).glob("appendonlydir/*.aof"), key=lambda path: int(path.name.split(".")[-3]))
    for path in files:
        for words in commands(path):
            name = words[0].upper()
            if name in (b"FLUSHALL", b"FLUSHDB"):
                found.append(Change("", "WIPED"))
            elif name in (b"HSET", b"HMSET") and (task := TASK.fullmatch(words[1])):
                fields = dict(zip(words[2::2], words[3::2]))
                change = _change(task[1].decode(), fields)
                if change:
                    found.append(change)
    return found


def _change(task, fields):
    status, token = fields.get(b"task_status"), fields.get(b"token", b"").decode()
    if status:
        return Change(task, status.decode(), token)
    return Change(task, "CLAIMED", token) if token else None


class Resp:
    """As much of a Redis client as a dump needs."""

    def __init__(self, place):
        """The path of a Unix socket, or a port of loopback."""
        if isinstance(place, int):
            self._socket = socket.create_connection(("127.0.0.1", place))
        else:
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.connect(place)
        self._socket.settimeout(60)
        self._file = self._socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()
        self._socket.close()

    def pipeline(self, commands):
        out = bytearray()
        for words in commands:
            out += b"*%d\r\n" % len(words)
            for word in words:
                word = word if isinstance(word, bytes) else str(word).encode()
                out += b"$%d\r\n%s\r\n" % (len(word), word)
        self._socket.sendall(out)
        return [self._answer() for _ in commands]

    def _answer(self):
        line = self._file.readline().rstrip(b"\r\n")
        kind, rest = line[:1], line[1:]
        if kind == b"$":
            return None if rest == b"-1" else self._file.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return [self._answer() for _ in range(int(rest))]
        assert kind != b"-", rest
        return int(rest) if kind == b":" else rest


def of_masters(masters):
    """(changes, finals) of {prefix of keys: node}."""
    folders = {node.folder for node in masters.values()}
    dump = {}
    for prefix, node in masters.items():
        dump.update(finals(node.port, prefix))
    return [change for folder in folders for change in changes(folder)], dump


def finals(place, prefix=""):
    """What the tasks are now, of those whose keys begin so."""
    with Resp(place) as redis:
        (ids,) = redis.pipeline([("ZRANGE", prefix + "treadle:tasks", 0, -1)])
        found = {}
        wanted = ("task_status", "error_kind", "task_result", "error_message", "idempotency")
        for at in range(0, len(ids), 500):
            some = ids[at : at + 500]
            for task, values in zip(some, redis.pipeline([("HMGET", prefix.encode() + task, *wanted) for task in some])):
                status, kind, result, message, idem = ((value or b"").decode(errors="replace") for value in values)
                if status:
                    value = value_of_text(status, result if status == "COMPLETED" else "", message)
                    found[task.decode()] = Final(task.decode(), status, kind, value, bool(idem))
        return found
