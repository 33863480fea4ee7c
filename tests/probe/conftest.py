"""The servers that the tests of connecting have are those of the tests of probing.

What refuses or stays silent is made by the tests that need it.
"""

from __future__ import annotations

from tests.net.conftest import server, server4

__all__ = ["server", "server4"]
