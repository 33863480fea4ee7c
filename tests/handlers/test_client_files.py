"""A file for each client: no name that harms, no file written over, few descriptors, a bounded directory."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pync.errors import Fault
from pync.handlers import client_files
from pync.handlers.client_files import ClientFiles, file_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def files(tmp_path: Path) -> Iterator[ClientFiles]:
    made = ClientFiles(str(tmp_path))
    yield made
    made.close()


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


@given(st.text())
def test_no_name_is_hidden_an_option_or_another_place(client: str) -> None:
    name = file_name(client)
    assert 0 < len(name.encode()) <= 240
    assert not set(name) & set("/:\\\n\0 ")
    assert name[0] not in ".-"


def test_names_are_readable() -> None:
    names = [file_name(client) for client in ("192.0.2.7:53412", "[fe80::1%eth0]:7", "client-1", "../../etc/passwd")]
    assert names == ["192.0.2.7-53412", "fe80__1%eth0-7", "client-1", "_._.._etc_passwd"]


def test_nothing_is_written_over_nor_followed(files: ClientFiles, tmp_path: Path) -> None:
    (tmp_path / "a-1").write_bytes(b"of old")
    os.symlink("nowhere", tmp_path / "a-1.2")
    for _ in range(2):
        files.write("a:1", b"new")
        files.forget("a:1")
    (tmp_path / "a-1.2").unlink()
    assert contents(tmp_path) == {"a-1": b"of old", "a-1.3": b"new", "a-1.4": b"new"}


def test_many_clients_share_few_descriptors(files: ClientFiles, tmp_path: Path) -> None:
    before = len(os.listdir("/dev/fd"))
    clients = [f"10.0.0.1:{port}" for port in range(3 * client_files.MOST_OPEN)]
    for turn in (b"first ", b"second"):
        for client in clients:
            files.write(client, turn)
    assert len(os.listdir("/dev/fd")) <= before + client_files.MOST_OPEN
    found = contents(tmp_path)
    assert len(found) == len(clients)
    assert set(found.values()) == {b"first second"}


def test_when_descriptors_run_out_it_does_with_those_it_has(files: ClientFiles, tmp_path: Path) -> None:
    files.write("a:1", b"x")
    taken: list[int] = []
    try:
        with pytest.raises(OSError, match="Too many open files"):
            while True:
                taken.append(os.dup(0))
        files.write("a:2", b"y")
        files.write("a:1", b"z")
    finally:
        for fd in taken:
            os.close(fd)
    assert contents(tmp_path) == {"a-1": b"xz", "a-2": b"y"}


def test_a_client_that_was_forgotten_for_others_gets_a_new_file(
    files: ClientFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_files, "MOST_KNOWN", 2)
    for client in ("a:1", "a:2", "a:3", "a:1"):
        files.write(client, b"x")
    assert sorted(contents(tmp_path)) == ["a-1", "a-1.2", "a-2", "a-3"]


def test_a_full_directory_takes_no_more_until_somebody_has_made_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "old").touch()
    files = ClientFiles(str(tmp_path), most=2)
    output = files.of(lambda: "b:1")
    files.write("a:1", b"x")
    with pytest.raises(OSError, match="2 files are enough"):
        output.write(b"y")
    files.write("a:1", b"more")
    (tmp_path / "old").unlink()
    monkeypatch.setattr(client_files, "RECOUNT", 0.0)
    assert output.write(b"y") == 1
    files.close()
    assert contents(tmp_path) == {"a-1": b"xmore", "b-1": b"y"}


def test_without_the_directory_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(Fault, match=r"open .*: No such file"):
        ClientFiles(str(tmp_path / "none"))
