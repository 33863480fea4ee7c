"""The program of -e and -c: its words, where it is found, what its environment tells of the connection."""

from __future__ import annotations

import os
import shlex
import socket
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pync.errors import USAGE, Fault
from pync.processes.program import PREFIXES, addresses_environment, connection_environment, program_from
from tests.net.addresses import loopback_server
from tests.plans import planned

if TYPE_CHECKING:
    from pathlib import Path

WORD = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


def words(line: str) -> list[str]:
    program = program_from(planned(exec=line).work)
    assert program is not None
    return program.words


def refused(**plan: Any) -> str:
    with pytest.raises(Fault) as caught:
        program_from(planned(**plan).work)
    assert caught.value.code == USAGE
    assert "\n" not in caught.value.text
    return caught.value.text


def values(environment: dict[str, str]) -> list[str]:
    """Remote address and port, local address and port, protocol; the same under both prefixes."""
    names = ("REMOTE_ADDR", "REMOTE_PORT", "LOCAL_ADDR", "LOCAL_PORT", "PROTO")
    found = [[environment[prefix + name] for name in names] for prefix in PREFIXES]
    assert found[0] == found[1]
    assert len(environment) == 10
    return found[0]


# --- its words


def test_without_e_and_c_there_is_none() -> None:
    assert program_from(planned().work) is None


@given(st.lists(WORD))
def test_words_are_split_as_a_shell_splits_them(arguments: list[str]) -> None:
    assert words(shlex.join([sys.executable, *arguments])) == [sys.executable, *arguments]


def test_nothing_but_the_splitting_is_done_of_what_a_shell_does() -> None:
    plain = ["cat", "$HOME", "*.txt", ";", "rm", "|", "x", ">", "y", "#", "z"]
    assert words(" ".join(plain)) == plain


def test_a_shell_gets_the_line_as_it_is() -> None:
    program = program_from(planned(sh_exec="echo  'a b' | cat").work)
    assert program is not None
    assert (program.path, program.words) == ("/bin/sh", ["/bin/sh", "-c", "echo  'a b' | cat"])


@pytest.mark.parametrize("line", ["-n 'x'", "+x"])
def test_a_line_that_looks_like_an_option_is_none_to_the_shell(line: str) -> None:
    program = program_from(planned(sh_exec=line).work)
    assert program is not None
    assert program.words == ["/bin/sh", "-c", "--", line]
    assert program.shown == line


# --- where it is found


def test_a_name_is_looked_for_in_path_and_keeps_its_own_spelling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("plain", "good"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "tool").write_text("#!/bin/sh\n")
    (tmp_path / "good/tool").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/missing:{tmp_path}/plain:{tmp_path}/good")
    program = program_from(planned(exec="tool -x").work)
    assert program is not None
    assert (program.path, program.words) == (f"{tmp_path}/good/tool", ["tool", "-x"])


def test_a_name_that_is_nowhere_is_an_error_before_anything_is_opened() -> None:
    assert refused(exec="no-such-program-here a b") == "run no-such-program-here: No such file or directory"


def test_a_path_that_is_nowhere_is_an_error() -> None:
    assert refused(exec="/dev/null/x") == "run /dev/null/x: No such file or directory"


def test_a_folder_is_no_program(tmp_path: Path) -> None:
    assert refused(exec=str(tmp_path)) == f"run {tmp_path}: Permission denied"


def test_a_file_that_may_not_be_executed_is_no_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "notes").write_text("hello")
    monkeypatch.setenv("PATH", f"{tmp_path}:{tmp_path}/missing")
    assert refused(exec="notes") == "run notes: Permission denied"


@pytest.mark.parametrize("line", ["", "  ", "''"])
def test_no_word_is_no_program(line: str) -> None:
    assert refused(exec=line) == "-e/--exec names no program"


def test_a_quotation_that_does_not_end_is_named() -> None:
    assert refused(exec="cat 'x") == "-e/--exec: No closing quotation: cat 'x"


def test_no_command_has_a_nul_byte() -> None:
    assert "NUL" in refused(exec="cat \0")
    assert "NUL" in refused(sh_exec="cat \0")


# --- its environment


@pytest.mark.parametrize(("host", "family"), [("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)])
def test_both_ends_of_a_connection_are_told(host: str, family: int) -> None:
    with loopback_server(host, family) as server:
        with socket.create_connection(server.getsockname()[:2]) as client:
            connection, _ = server.accept()
            with connection:
                expected = [host, str(client.getsockname()[1]), host, str(server.getsockname()[1]), "TCP"]
                assert values(connection_environment(connection)) == expected


def test_a_mapped_address_is_told_as_ipv4() -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        told = addresses_environment(sock, ("::ffff:192.0.2.7", 9, 0, 0), ("::ffff:192.0.2.1", 5, 0, 0))
    assert values(told) == ["192.0.2.7", "9", "192.0.2.1", "5", "UDP"]


def test_over_a_unix_socket_the_paths_are_told_and_no_ports(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(path)
        server.listen()
        client.connect(path)
        connection, _ = server.accept()
        with connection:
            assert values(connection_environment(connection)) == ["", "", path, "", "UNIX"]
        assert values(connection_environment(client)) == [path, "", "", "", "UNIX"]


def test_a_hostile_path_of_the_peer_is_told_harmlessly(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        told = addresses_environment(sock, b"\0a\n\x1b[31m", os.fsencode(str(tmp_path)))
    assert told["PYNC_REMOTE_ADDR"] == r"@a\n\x1b[31m"


def test_a_peer_that_is_gone_is_an_error_and_not_a_nameless_one() -> None:
    with socket.socket() as never_connected, pytest.raises(OSError, match="not connected"):
        connection_environment(never_connected)
