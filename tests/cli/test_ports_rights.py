"""`pync --ports` without the right to see everything, and while processes come and go.

Another uid and a hidden /proc (hidepid, proc(5)) need root, and an installation that others may read;
where that is not so these are skipped. What is shown with all rights is tested elsewhere.
"""

from __future__ import annotations

import json
import os
import pwd
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.ports.crowd import Crowd, empty_crowd
from tests.running import PATIENCE, PYNC, Running, peer, pync, run_pync, running
from tests.sockets import port_of

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc and setpriv are Linux's")

NOBODY = 65534
NOTE = "pync: the owners of 1 port cannot be seen: run as root to see all"


@pytest.fixture
def few() -> Iterator[Crowd]:
    with empty_crowd() as made:
        yield made


@pytest.fixture
def as_nobody() -> list[str]:
    """The words in front of a command that run it under another uid."""
    if os.geteuid():
        pytest.skip("only root becomes somebody else")
    words = [peer("setpriv"), f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    if subprocess.run([*words, PYNC, "--version"], capture_output=True, check=False, timeout=PATIENCE).returncode:
        pytest.skip("other users may not read this installation")
    return words


@pytest.fixture
def hidden_proc() -> list[str]:
    """The words in front of a command that show it a /proc with only its own user's processes."""
    script = 'mount -t proc -o hidepid=2 proc /proc && exec "$@"'
    words = [peer("unshare"), "--mount", "sh", "-c", script, "sh"]
    if subprocess.run([*words, "true"], capture_output=True, check=False, timeout=PATIENCE).returncode:
        pytest.skip("a /proc of our own cannot be mounted here")
    return words


def look(before: list[str], *words: str) -> tuple[int, dict[str, Any], list[str]]:
    """Run `pync --ports --json` behind these words: exit code, document, messages, which are objects too."""
    with running(*before, PYNC, "--ports", "--json", *words) as looking:
        code, out = looking.finish()
    return code, json.loads(out), [f"pync: {json.loads(message)['text']}" for message in looking.messages]


def test_without_rights_the_owner_is_missing_and_everything_else_is_there(few: Crowd, as_nobody: list[str]) -> None:
    server = few.listen(socket.AF_INET, "127.0.0.1", 5)
    few.connect(server, "127.0.0.1", "established")
    code, document, messages = look(as_nobody, port_of(server))
    (row,) = document["ports"]
    assert (code, messages, document["partial"]) == (0, [NOTE], True)
    assert (row["owners"], row["connections"]["established"], row["queue"]["limit"]) == ([], 1, 5)


def test_without_rights_an_owner_is_a_dash_in_the_lines(few: Crowd, as_nobody: list[str]) -> None:
    server = few.listen(socket.AF_INET, "127.0.0.1", 5)
    with running(*as_nobody, PYNC, "--ports", port_of(server)) as looking:
        code, out = looking.finish()
    assert (code, looking.messages) == (0, [NOTE])
    assert out.decode().splitlines()[1].split("\t")[5:8] == ["-", "-", "-"]


def test_without_rights_our_own_sockets_have_their_owner(as_nobody: list[str]) -> None:
    with running(*as_nobody, PYNC, "-l", "127.0.0.1", "0") as listener:
        code, document, messages = look(as_nobody, str(listener.port()))
        (row,) = document["ports"]
        assert (code, messages, document["partial"]) == (0, [], False)
        assert row["owners"] == [{"pid": listener.process.pid, "program": "pync", "user": pwd.getpwuid(NOBODY).pw_name}]


def test_root_sees_the_owners_of_all(as_nobody: list[str]) -> None:
    with running(*as_nobody, PYNC, "-l", "127.0.0.1", "0") as listener:
        code, document, messages = look([], str(listener.port()))
        assert (code, messages, document["partial"]) == (0, [], False)
        assert [owner["pid"] for owner in document["ports"][0]["owners"]] == [listener.process.pid]


def test_without_rights_a_filter_for_owners_finds_nothing_of_others(few: Crowd, as_nobody: list[str]) -> None:
    few.listen(socket.AF_INET, "127.0.0.1", 5)
    code, document, _ = look(as_nobody, "--pid", str(os.getpid()))
    assert (code, document["ports"]) == (1, [])


def test_where_proc_is_hidden_the_owner_is_missing_and_nothing_breaks(
    few: Crowd, as_nobody: list[str], hidden_proc: list[str]
) -> None:
    server = few.listen(socket.AF_INET, "127.0.0.1", 5)
    few.connect(server, "127.0.0.1", "close_wait")
    code, document, messages = look([*hidden_proc, *as_nobody], port_of(server))
    (row,) = document["ports"]
    assert (code, messages, document["partial"]) == (0, [NOTE], True)
    assert (row["owners"], row["connections"]["close_wait"]) == ([], 1)


def test_where_proc_is_hidden_our_own_sockets_have_their_owner(as_nobody: list[str], hidden_proc: list[str]) -> None:
    with running(*as_nobody, PYNC, "-l", "127.0.0.1", "0") as listener:
        code, document, messages = look([*hidden_proc, *as_nobody], str(listener.port()))
        assert (code, messages) == (0, [])
        assert [owner["pid"] for owner in document["ports"][0]["owners"]] == [listener.process.pid]


def test_where_there_is_no_proc_at_all_the_ports_are_shown_all_the_same(few: Crowd) -> None:
    if os.geteuid():
        pytest.skip("only root mounts something over /proc")
    server = few.listen(socket.AF_INET, "127.0.0.1", 5)
    words = [peer("unshare"), "--mount", "sh", "-c", 'mount -t tmpfs none /proc && exec "$@"', "sh"]
    if subprocess.run([*words, "true"], capture_output=True, check=False, timeout=PATIENCE).returncode:
        pytest.skip("nothing can be mounted over /proc here")
    code, document, messages = look(words, port_of(server))
    assert (code, document["partial"], len(document["ports"])) == (0, True, 1)
    assert messages == ["pync: the owners of 1 port cannot be seen: the kernel or another container"]


#: Sockets and processes that live for a moment, one after the other.
CHURN = """
import os, socket
print("ready", flush=True)
while True:
    server = socket.create_server(("127.0.0.1", 0))
    children = []
    for _ in range(5):
        child = os.fork()
        if not child:
            socket.create_connection(server.getsockname()).close()
            os._exit(0)
        children.append(child)
    server.close()
    for child in children:
        os.waitpid(child, 0)
"""


def churning() -> Running:
    process = Running([sys.executable, "-c", CHURN])
    assert process.stdout.readline() == b"ready\n"
    return process


@pytest.mark.slow
def test_processes_that_come_and_go_are_no_error() -> None:
    churn = churning()
    try:
        for words in ([], ["-v"], ["--json", "-v"], ["1024-65535", "-v"], ["--name", "python"], ["-U"]):
            code, out, messages = run_pync("--ports", *words)
            assert code == 0 or "--name" in words
            assert out
            assert [message for message in messages if "the owners of" not in message] == []
    finally:
        churn.end()


def test_watching_goes_on_while_owners_die() -> None:
    with pync("-l", "127.0.0.1", "0") as listener:
        port = str(listener.port())
        with pync("--ports", "--json", "--watch", "1", port) as watching:
            first = json.loads(watching.stdout.readline())
            listener.end()
            second = json.loads(watching.stdout.readline())
            watching.process.terminate()
            assert watching.code() == 143
    assert [row["owners"][0]["pid"] for row in first["ports"] if row["bound"]] == [listener.process.pid]
    assert [row for row in second["ports"] if row["bound"]] == []
    assert second["partial"] is False
    assert watching.messages == []
