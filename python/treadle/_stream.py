"""HTTP/1.1 for the I/O thread: one connection, on which requests may follow before their answers have come."""

from __future__ import annotations

import asyncio
import ssl

from ._http import Transport

_MAX_HEAD = 64 << 10  # bytes of the head of an answer


class BadAnswer(ConnectionError):
    """What came is not HTTP, so the connection is of no use."""


class Stream:
    """Opened at its first request. Any error leaves it closed; the next request opens it again."""

    def __init__(self, transport: Transport):
        self._to = transport
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self.worked = False  # an answer has come on some connection

    async def send(self, method: str, path: str, body: bytes = b"", headers: str = "") -> None:
        if self._writer is None:
            context = ssl.create_default_context() if self._to.scheme == "https" else None
            self._reader, self._writer = await asyncio.open_connection(
                self._to.host, self._to.port, ssl=context, limit=_MAX_HEAD
            )
        head = f"{method} {self._to.prefix}{path} HTTP/1.1\r\nHost: {self._to.netloc}\r\nAccept: application/json\r\n"
        if body:
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        self._writer.write(head.encode() + headers.encode() + b"\r\n")
        if body:
            self._writer.write(body)
        await self._writer.drain()

    async def receive(self) -> tuple[int, dict[str, str], bytes]:
        """Status, header fields in lower case, and body of the answer that is due next."""
        assert self._reader is not None, "receive() follows send()"
        try:
            lines = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            status = int(lines[0].split(" ", 2)[1])
            fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
            body = await self._body(fields)
        except asyncio.IncompleteReadError as error:
            raise ConnectionResetError("the server closed the connection without an answer") from error
        except (ValueError, IndexError, asyncio.LimitOverrunError) as error:
            raise BadAnswer(f"what came is not an HTTP answer ({error})") from error
        self.worked = True
        if fields.get("connection", "").lower() == "close":
            self.close()
        return status, fields, body

    async def _body(self, fields: dict[str, str]) -> bytes:
        assert self._reader is not None
        if fields.get("transfer-encoding", "").lower() != "chunked":
            return await self._reader.readexactly(int(fields.get("content-length", "0")))
        parts = []
        while True:
            size = int((await self._reader.readline()).split(b";")[0], 16)
            if size == 0:
                break
            parts.append(await self._reader.readexactly(size))
            await self._reader.readexactly(2)
        while (await self._reader.readline()).strip():
            pass  # trailers
        return b"".join(parts)

    async def call(
        self, method: str, path: str, body: bytes = b"", headers: str = "", timeout: float = 30.0
    ) -> tuple[int, dict[str, str], bytes]:
        """One request and its answer. OSError (or asyncio.TimeoutError): it may have been carried out, or not."""
        try:
            return await asyncio.wait_for(self._call(method, path, body, headers), timeout)
        except BaseException:
            self.close()
            raise

    async def _call(self, method: str, path: str, body: bytes, headers: str) -> tuple[int, dict[str, str], bytes]:
        await self.send(method, path, body, headers)
        return await self.receive()

    def close(self) -> None:
        writer, self._reader, self._writer = self._writer, None, None
        if writer is not None:
            writer.close()
