"""Servers of the loopback that answer, for the tests of connecting.

What refuses or stays silent is made by the tests that need it.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from tests.net.addresses import loopback_server

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(params=["127.0.0.1", "::1"])
def server(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    """Somebody who answers."""
    family = socket.AF_INET6 if ":" in request.param else socket.AF_INET
    with loopback_server(request.param, family) as sock:
        yield sock


@pytest.fixture
def server4() -> Iterator[socket.socket]:
    with loopback_server("127.0.0.1", socket.AF_INET) as sock:
        yield sock
