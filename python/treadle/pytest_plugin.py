"""Fixtures for tests that use Treadle: a server for the session, and a client of it for each test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Iterator

import pytest

if TYPE_CHECKING:
    from .client import Client
    from .local import LocalServer


@pytest.fixture(scope="session")
def treadle_server() -> Iterator[LocalServer]:
    """A server of this test session, with its data in a temporary directory; `treadle_server.url` is its address."""
    from .local import LocalServer  # every pytest loads this plugin, few use it

    server = LocalServer()
    yield server
    server.stop()


@pytest.fixture
def treadle_client(treadle_server: LocalServer) -> Iterator[Client]:
    """A client of the session's server."""
    from .client import Client

    with Client(treadle_server.url) as client:
        yield client
