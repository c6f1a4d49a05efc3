"""Futures in an event loop, and AsyncClient."""

import asyncio
import concurrent.futures
import os
import time

import pytest

import treadle


def double(n):
    return 2 * n


def fail(n):
    raise LookupError(n)


def until(path, value=None):
    """For at most a minute, which only a test that fails takes."""
    end = time.monotonic() + 60
    while not os.path.exists(path) and time.monotonic() < end:
        time.sleep(0.005)
    return value


def test_five_thousand_awaited_futures(client):
    async def main():
        futures = client.submit_many(double, [(n,) for n in range(5000)])
        return await asyncio.gather(*futures)

    assert asyncio.run(main()) == [2 * n for n in range(5000)]


def test_await_raises_what_the_function_raised(client):
    async def main():
        with pytest.raises(LookupError) as caught:
            await client.submit(fail, 3)
        assert caught.value.args == (3,) and isinstance(caught.value.__cause__, treadle.TaskFailed)
        done = client.submit(double, 4)
        await done
        return await done, await asyncio.wrap_future(client.submit(double, 5))

    assert asyncio.run(main()) == (8, 10)


def test_the_loop_turns_while_futures_are_awaited(client, gate):
    async def main():
        async def tick():
            for _ in range(20):
                await asyncio.sleep(0.01)
            gate.open()

        ticking = asyncio.ensure_future(tick())
        assert await client.submit(until, gate.path, "opened") == "opened"
        await ticking

    asyncio.run(main())


def test_run_in_executor(pool):
    async def main():
        loop = asyncio.get_running_loop()
        return await asyncio.gather(*(loop.run_in_executor(pool, double, n) for n in range(50)))

    assert asyncio.run(main()) == [2 * n for n in range(50)]


def test_timeout_takes_the_call_back(new_server, gate):
    """One slot is held; what waits behind it is given up by its awaiter."""
    with treadle.Client(new_server.url) as client:
        holding = client.submit(until, gate.path, 1)
        waiting = client.submit(double, 1)

        async def main():
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(_awaited(waiting), 0.2)

        asyncio.run(main())
        concurrent.futures.wait([waiting], 20)
        assert waiting.cancelled()
        gate.open()
        assert holding.result(20) == 1


async def _awaited(future):
    return await future


def test_async_client(url):
    async def main():
        async with treadle.AsyncClient(url) as client:
            assert await client.call(double, 4) == 8
            future = await client.submit(double, 5)
            assert isinstance(future, treadle.Future) and await future == 10
            function = await client.register(double, time_limit=30)
            assert [value async for value in client.map(function, range(100), buffersize=7)] == [2 * n for n in range(100)]
            assert [value async for value in client.map(double, [])] == []
            with pytest.raises(LookupError):
                await client.call(fail, 1)

    asyncio.run(main())
