"""pync.run from a thread: ended by an event wherever it waits, and with file objects that have no descriptor."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import socket
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

import pync
from tests.running import PATIENCE, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Whatever a machine does meanwhile; without a stop each of them waits without end.
SOON = 10.0


@contextlib.contextmanager
def in_a_thread(*words: str, **given: Any) -> Iterator[tuple[Future[int], io.StringIO]]:
    said = io.StringIO()
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(pync.run, list(words), stderr=said, **given), said


def port_of(said: io.StringIO) -> int:
    eventually(lambda: " on 127.0.0.1 " in said.getvalue(), "it says where it listens")
    return int(said.getvalue().split(" on 127.0.0.1 ")[1].split()[0])


WAITING = {
    "a listener": ["-l", "127.0.0.1", "0"],
    "many": ["-l", "-k", "127.0.0.1", "0"],
    "a service": ["-l", "-k", "--echo", "127.0.0.1", "0"],
    "a service on asyncio's loop": ["-l", "-k", "--echo", "--loop", "asyncio", "127.0.0.1", "0"],
    "programs": ["-l", "-k", "-e", "cat", "127.0.0.1", "0"],
    "datagrams": ["-u", "-l", "127.0.0.1", "0"],
    "a service over datagrams": ["-u", "-l", "--echo", "127.0.0.1", "0"],
    "programs over datagrams": ["-u", "-l", "-e", "cat", "127.0.0.1", "0"],
    "patience": ["-z", "--wait", "60", "127.0.0.1", "1"],
    "a watch": ["--ports", "--watch", "60"],
}


@pytest.mark.parametrize("kind", [pync.Stop, threading.Event])
@pytest.mark.parametrize("words", WAITING.values(), ids=WAITING.keys())
def test_what_waits_is_ended_by_an_event(words: list[str], kind: type[threading.Event]) -> None:
    stop = kind()
    before = len(os.listdir("/dev/fd"))
    with in_a_thread("-v", *words, stdin=io.BytesIO(), stdout=io.BytesIO(), stop=stop) as (code, said):
        if "-l" in words:
            port_of(said)
        stop.set()
        assert code.result(SOON) == 143
    eventually(lambda: len(os.listdir("/dev/fd")) <= before, "every descriptor is closed")


def test_an_event_that_is_set_already_ends_it_at_once_and_serves_for_many() -> None:
    stop = pync.Stop()
    stop.set()
    for _ in range(2):
        assert pync.run(["-l", "127.0.0.1", "0"], io.BytesIO(), io.BytesIO(), io.StringIO(), stop=stop) == 143


def test_connecting_to_what_never_answers_is_ended_too() -> None:
    stop = pync.Stop()
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, contextlib.ExitStack() as queue:
        for _ in range(2):  # fill its queue
            waiting = queue.enter_context(socket.socket())
            waiting.setblocking(False)
            assert waiting.connect_ex(full.getsockname()) == errno.EINPROGRESS
        with in_a_thread("127.0.0.1", str(full.getsockname()[1]), stdin=io.BytesIO(), stop=stop) as (code, _):
            threading.Timer(0.1, stop.set).start()
            assert code.result(SOON) == 143


@pytest.mark.parametrize("words", [[], ["-l"], ["-u"], ["-z"]], ids=" ".join)
def test_a_look_up_is_stopped(monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    asked, over = threading.Event(), threading.Event()

    def getaddrinfo(*args: Any) -> Any:
        asked.set()
        over.wait(PATIENCE)
        raise socket.gaierror(socket.EAI_AGAIN, "a silent server")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    stop = pync.Stop()
    with in_a_thread(*words, "host.example", "80", stdin=io.BytesIO(), stdout=io.BytesIO(), stop=stop) as (code, _):
        assert asked.wait(PATIENCE)
        stop.set()
        try:
            assert code.result(SOON) == 143
        finally:
            over.set()


def test_a_session_that_is_stopped_ends_with_a_reset_where_something_was_still_to_come() -> None:
    stop = pync.Stop()
    reading, writing = os.pipe()
    with in_a_thread("-v", "-l", "127.0.0.1", "0", stdin=reading, stdout=io.BytesIO(), stop=stop) as (code, said):
        with socket.create_connection(("127.0.0.1", port_of(said)), PATIENCE) as client:
            os.write(writing, b"half")
            assert client.recv(4, socket.MSG_WAITALL) == b"half"
            stop.set()
            with pytest.raises(ConnectionResetError):
                client.recv(1)
        assert code.result(SOON) == 143
    os.close(reading)
    os.close(writing)


@pytest.mark.parametrize("text", [False, True], ids=["bytes", "text"])
def test_files_in_memory_are_sent_and_received_whole(text: bool) -> None:
    data = "\u00fc\n".encode() * 300_000
    given, taken = (io.StringIO(data.decode()), io.StringIO()) if text else (io.BytesIO(data), io.BytesIO())
    with in_a_thread("-v", "-l", "127.0.0.1", "0", stdin=given, stdout=taken) as (code, said):
        with socket.create_connection(("127.0.0.1", port_of(said)), PATIENCE) as client:
            sender = threading.Thread(target=client.sendall, args=(data,))
            sender.start()
            with client.makefile("rb") as answer:
                assert answer.read(len(data)) == data
            sender.join(PATIENCE)
            client.shutdown(socket.SHUT_WR)
        assert code.result(PATIENCE) == 0
    assert taken.getvalue() == (data.decode() if text else data)


class Failing(io.BytesIO):
    def write(self, data: Any) -> int:
        raise RuntimeError("no more of that")


def test_what_a_file_object_raises_is_raised_when_the_run_is_over() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:
        words = ["127.0.0.1", str(server.getsockname()[1])]
        run = pool.submit(pync.run, words, io.BytesIO(), Failing(), io.StringIO())
        connection, _ = server.accept()
        with connection:
            connection.sendall(b"data")
            with pytest.raises(RuntimeError, match="no more of that"):
                run.result(PATIENCE)


def test_messages_and_answers_are_seen_by_capsys(capsys: pytest.CaptureFixture[str]) -> None:
    assert pync.run(["--version"]) == 0
    assert pync.run(["--nosuch"]) == 2
    captured = capsys.readouterr()
    assert captured.out == f"pync {pync.__version__}\n"
    assert captured.err.startswith("pync: No such option")


def test_a_directory_as_input_is_a_read_error_in_one_line(tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        with in_a_thread("-l", "-v", "127.0.0.1", "0", stdin=folder, stdout=io.BytesIO()) as (code, said):
            with socket.create_connection(("127.0.0.1", port_of(said)), PATIENCE):
                assert code.result(PATIENCE) == 1
    finally:
        os.close(folder)
    assert [line for line in said.getvalue().splitlines() if "directory" in line] == [
        "pync: read from standard input: Is a directory"
    ]
