"""What is said of failures that peers can repeat: never nothing, never a line for each.

Intervals are tested with a clock of their own in serving/test_repeats.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
from typing import TYPE_CHECKING

import pytest

from tests.running import PATIENCE, eventually, pync, stop
from tests.sockets import be_reset, reset

if TYPE_CHECKING:
    from pathlib import Path

    from tests.running import Running

MANY = 50


def said(listener: Running) -> list[str]:
    """What it has said when it has been ended, without where it listens."""
    stop(listener)
    assert listener.code() == 143
    return [line for line in listener.messages if "ound on" not in line and "istening on" not in line]


@pytest.mark.parametrize("words", [[], ["-w", "20"]], ids=["its own socket", "pipes"])
def test_a_program_that_is_gone_is_told_once_and_counted_and_every_client_gets_a_reset(
    tmp_path: Path, words: list[str]
) -> None:
    tool = tmp_path / "tool"
    shutil.copy("/bin/cat", tool)
    with pync("-l", "-k", "-e", str(tool), *words, "127.0.0.1", "0") as listener:
        port = listener.port()
        tool.unlink()
        for _ in range(MANY):
            be_reset(("127.0.0.1", port))
        lines = said(listener)
    what = f"run {tool}: No such file or directory"
    assert lines == [f"pync: {what}", f"pync: {MANY - 1} more like it: {what}"]


def test_resets_of_many_peers_are_a_line_and_a_count() -> None:
    with pync("-l", "-k", "-d", "127.0.0.1", "0") as listener:
        port = listener.port()
        for _ in range(MANY):
            with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
                client.sendall(b"x")
                assert listener.read(1) == b"x"
                reset(client)
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as last:
            last.sendall(b"y")
            assert listener.read(1) == b"y"  # the resets before it have been seen
            lines = said(listener)
    lost = r"connection with 127\.0\.0\.1 port \d+ lost: Connection reset by peer"
    assert len(lines) == 2
    assert re.fullmatch(f"pync: {lost}", lines[0])
    assert re.fullmatch(f"pync: {MANY - 1} more like it: {lost}", lines[1])


@pytest.mark.parametrize("words", [[], ["-e", "cat"], ["--echo"]], ids=["plain", "a program", "a service"])
def test_a_sender_of_datagrams_that_is_refused_by_rule_is_told_once_with_v(words: list[str]) -> None:
    with pync("-u", "-l", "-v", *words, "--deny", "127.0.0.2", "127.0.0.1", "0") as listener:
        port = listener.port()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.2", 0))
            for _ in range(3):
                sock.sendto(b"x", ("127.0.0.1", port))
            refused = f"Connection from 127.0.0.2 {sock.getsockname()[1]} refused by rule"
        listener.wait_for(refused)
        lines = said(listener)
    assert lines.count(refused) == 1


def test_a_datagram_that_is_too_long_for_a_program_is_told(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with (
        pync("-u", "-l", "-U", "-c", "wc -c", path) as listener,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock,
    ):
        eventually(lambda: os.path.exists(path), "bound")
        sock.bind(str(tmp_path / "ours"))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        try:
            sock.sendto(bytes((1 << 18) + 1), path)
        except OSError as error:
            pytest.skip(f"this system sends no datagram of that size: {error}")
        assert listener.wait_for("a datagram was cut to 262144 bytes")
