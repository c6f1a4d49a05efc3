"""What the seed's clients send and read: texts of pickles, and HTTP requests with one connection each (or raw bytes on
one).
"""

import codecs
import http.client
import json
import socket
import sys
import types
import uuid

import dill

WORDS = {"QUEUED", "RUNNING", "COMPLETED", "FAILED"}
TERMINAL = {"COMPLETED", "FAILED"}


def text(obj):
    """The seed's form: dill, then base64 with a newline every 76 characters and at the end."""
    return armor(dill.dumps(obj))


def armor(raw):
    return codecs.encode(raw, "base64").decode()


def bare(armored):
    return codecs.decode(armored.encode(), "base64")


def untext(armored):
    return dill.loads(bare(armored))


def as_main(fn):
    """The function as if a script had defined it: dill then sends its code by value, and a reference to `__main__` for
    its globals.
    """
    main = sys.modules["__main__"]
    copy = types.FunctionType(fn.__code__, main.__dict__, fn.__name__, fn.__defaults__, fn.__closure__)
    copy.__module__ = "__main__"
    copy.__qualname__ = fn.__name__
    copy.__kwdefaults__ = fn.__kwdefaults__
    return copy


def args(*positional, **named):
    return text((positional, named))


def is_id(word):
    """Whether it is a lower-case hyphenated UUID."""
    return str(uuid.UUID(word)) == word


class Reply:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers  # names are found in any case
        self.body = body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def detail(self):
        """The text of an error answer, after a check of its form."""
        answer = self.json
        assert set(answer) == {"detail"} and isinstance(answer["detail"], str) and answer["detail"], answer
        return answer["detail"]

    def __repr__(self):
        return f"<Reply {self.status} {self.body[:300]!r}>"


def call(port, method, path, body=None, headers=None, timeout=30):
    """One request on a connection of its own. A dict or list is sent as JSON; bytes and text go as they are."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        return send(connection, method, path, body, headers)
    finally:
        connection.close()


def send(connection, method, path, body=None, headers=None):
    """One request on an open connection."""
    headers = dict(headers or {})
    if isinstance(body, (dict, list)):
        body = json.dumps(body)
        headers.setdefault("Content-Type", "application/json")
    connection.request(method, path, body=body, headers=headers)
    response = connection.getresponse()
    return Reply(response.status, response.headers, response.read())


class Raw:
    """A bare socket to the server, for what an HTTP library would not send."""

    def __init__(self, port, timeout=30):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")

    def write(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode())

    def read_reply(self, bodiless=False):
        """The next answer; None if the server has closed the connection instead."""
        line = self.file.readline()
        if not line:
            return None
        headers = http.client.parse_headers(self.file)
        length = 0 if bodiless else int(headers["Content-Length"] or 0)
        return Reply(int(line.split()[1]), headers, self.file.read(length))

    def read_end(self):
        """Everything up to the end of the connection, which must come."""
        data = b""
        try:
            while chunk := self.socket.recv(65536):
                data += chunk
        except ConnectionResetError:
            pass
        return data

    def close(self):
        self.file.close()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def request(method, path, body=b"", headers=()):
    """The bytes of a request with a Content-Length."""
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body
