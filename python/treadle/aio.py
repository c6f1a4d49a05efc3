"""AsyncClient: the same client for asyncio, none of whose methods block the loop."""

from __future__ import annotations

import asyncio
from typing import Any, AsyncIterator, Callable, Iterable, TypeVar

from .client import Client
from .function import Function
from .futures import Future

R = TypeVar("R")

_UNDER_WAY = 10_000  # tasks of one map() that are submitted ahead of its reader


class AsyncClient:
    """`async with treadle.AsyncClient() as client: print(await client.call(f, 2))`. Futures of any Client can be awaited, too."""

    def __init__(self, url: str | None = None, *, timeout: float = 30.0, retry_for: float = 30.0):
        self._made: Client | None = None
        self._how: dict[str, Any] = {"url": url, "timeout": timeout, "retry_for": retry_for}

    @property
    def client(self) -> Client:
        """The Client that does the work."""
        if self._made is None:
            self._made = Client(**self._how)
        return self._made

    async def register(self, fn: Callable[..., R], *, name: str | None = None, **options: Any) -> Function[R]:
        """See Client.register."""
        return await asyncio.to_thread(lambda: self.client.register(fn, name=name, **options))

    async def submit(self, fn: Callable[..., R] | Function[R], /, *args: Any, **kwargs: Any) -> Future[R]:
        """Queues one call; the future can be awaited."""
        return await asyncio.to_thread(self.client.submit, fn, *args, **kwargs)

    async def call(self, fn: Callable[..., R] | Function[R], /, *args: Any, **kwargs: Any) -> R:
        """The result of one call."""
        return await (await self.submit(fn, *args, **kwargs))

    async def map(
        self, fn: Callable[..., R] | Function[R], /, *iterables: Iterable[Any], buffersize: int = _UNDER_WAY, **options: Any
    ) -> AsyncIterator[R]:
        """Results in the order of the arguments: `async for x in client.map(f, items)`."""
        function = await asyncio.to_thread(self.client._registered, fn)
        calls = zip(*iterables)
        futures: list[Future[R]] = []
        at = 0
        while True:
            room = buffersize - (len(futures) - at)
            more = [args for _, args in zip(range(room), calls)]
            futures += await asyncio.to_thread(lambda more=more: self.client.submit_many(function, more, **options))  # type: ignore[misc]
            if at == len(futures):
                return
            for future in futures[at : at + max(1, buffersize // 2)]:
                yield await future
                at += 1
            del futures[:at]
            at = 0

    async def close(self) -> None:
        """See Client.close."""
        if self._made is not None:
            await asyncio.to_thread(self._made.close)

    async def __aenter__(self) -> AsyncClient:
        await asyncio.to_thread(lambda: self.client)
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()
