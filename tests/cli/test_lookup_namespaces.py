"""Looking up a name at a DNS server that never answers: time limits and signals hold meanwhile.

The resolver itself would wait for 10 s (resolv.conf(5): 5 s, twice), so that whatever ends within half of that
did not wait for it.
"""

from __future__ import annotations

import itertools
import signal
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.cli.namespaces import Host, two_hosts
from tests.running import Running, stop

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.namespace

SOON = 5.0
LABELS = itertools.count()
NAME = "nowhere.example"
#: Takes every question (RFC 1035, section 4.1.2), says what it was asked for, and keeps silent.
SILENT = """
import socket, sys
sock = socket.socket(type=socket.SOCK_DGRAM)
sock.bind(("127.0.0.1", 53))
print("ready", file=sys.stderr, flush=True)
while question := sock.recv(512):
    print("asked for", question[13:13 + question[12]].decode(), file=sys.stderr, flush=True)
"""


@pytest.fixture(scope="module")
def lost() -> Iterator[tuple[Host, Running]]:
    """A host whose DNS server is silent, and that server."""
    with two_hosts() as (host, _):
        host.ask_dns_at("127.0.0.1")
        with host.running(sys.executable, "-c", SILENT) as server:
            server.wait_for("^ready$")
            yield host, server


@pytest.mark.parametrize(
    "words",
    [
        ["--total-timeout", "500ms", NAME, "80"],
        ["-w", "500ms", NAME, "80"],
        ["--connect-timeout", "500ms", NAME, "80"],
        ["--total-timeout", "500ms", "-s", NAME, "127.0.0.1", "80"],
        ["--wait", "500ms", NAME, "80"],
        ["-u", "-w", "500ms", NAME, "80"],
        ["-z", "-w", "500ms", NAME, "80"],
        ["-z", "--wait", "500ms", NAME, "80"],
        ["-l", "--total-timeout", "500ms", NAME, "80"],
        ["-l", "-k", "--echo", "--total-timeout", "500ms", NAME, "80"],
        ["-l", "--allow", NAME, "--total-timeout", "500ms", "127.0.0.1", "0"],
    ],
    ids=" ".join,
)
def test_time_limits_hold_while_a_name_is_looked_up(lost: tuple[Host, Running], words: list[str]) -> None:
    began = time.monotonic()
    code, output, messages = lost[0].run_pync(*words)
    assert time.monotonic() - began < SOON
    assert (code, output) == (3, b"")
    assert messages
    assert any("timed out" in message for message in messages)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
@pytest.mark.parametrize("words", [[], ["-z"], ["-l", "-k", "--echo"]], ids=" ".join)
def test_a_signal_ends_a_look_up(lost: tuple[Host, Running], words: list[str], number: int, code: int) -> None:
    host, server = lost
    label = f"{next(LABELS)}-th"
    with host.pync(*words, f"{label}.example", "80") as client:
        server.wait_for(f"^asked for {label}$")
        stop(client, number)
        assert client.code(timeout=SOON) == code
        assert client.messages == []
