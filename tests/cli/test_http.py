"""--http and --http-root: the installed command, spoken to by real clients and by raw bytes.

What a single request is answered with is tested in tests/wire; here it is the whole: files from a real
directory with a secret beside it, sockets, time, and clients that misbehave.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import re
import signal
import socket
import time
from typing import TYPE_CHECKING

import pytest

from pync.wire.http.pages import error_page
from tests.running import PATIENCE, PYNC, Running, eventually, plain_pync, pync, run_pync, running, stop
from tests.wire.hostile_requests import HOSTILE, SECRET, get
from tests.wire.http_answers import read_answers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

BIG = random.Random(3).randbytes(3_000_001)
#: More than the socket buffers of both sides take.
HUGE = 256 << 20
FETCHED = [
    ("/small.txt", 200, b"twelve bytes"),
    ("/big.bin", 200, BIG),
    ("/nothing", 404, error_page(404)),
    ("/sub/inner.txt", 200, b"inner"),
]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder to serve; the secret lies beside it, and links lead there."""
    base = tmp_path_factory.mktemp("site")
    (base / "secret.txt").write_bytes(SECRET)
    folder = base / "root"
    (folder / "sub").mkdir(parents=True)
    (folder / "small.txt").write_bytes(b"twelve bytes")
    (folder / "big.bin").write_bytes(BIG)
    (folder / "sub" / "inner.txt").write_bytes(b"inner")
    (folder / ".hidden").write_bytes(SECRET)
    (folder / "out").symlink_to("..")
    (folder / "secret-link").symlink_to("../secret.txt")
    os.mkfifo(folder / "pipe")
    with open(folder / "huge.bin", "wb") as file:
        file.truncate(HUGE)
    return folder


@pytest.fixture(scope="module")
def server(root: Path) -> Iterator[tuple[Running, int]]:
    """One process that all tests talk to: none of them may do harm to the others."""
    with serving(root) as both:
        yield both


@contextlib.contextmanager
def serving(
    root: Path, start: Callable[..., contextlib.AbstractContextManager[Running]] = pync
) -> Iterator[tuple[Running, int]]:
    with start("-v", "-l", "-k", "127.0.0.1", "0", "--http-root", str(root)) as process:
        yield process, process.port()


def dial(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), PATIENCE)


def converse(port: int, data: bytes) -> bytes:
    """Send this and half-close; everything that comes back."""
    with dial(port) as sock:
        with contextlib.suppress(ConnectionError):  # refused in the middle: the answer is there to be read
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
        return read_to_end(sock)


def read_to_end(sock: socket.socket) -> bytes:
    said = bytearray()
    with contextlib.suppress(ConnectionResetError):
        while data := sock.recv(1 << 20):
            said += data
    return bytes(said)


def read_head(sock: socket.socket) -> bytes:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += sock.recv(1)
    return head


def descriptors(process: Running) -> int:
    return len(os.listdir(f"/proc/{process.process.pid}/fd"))


def memory(process: Running) -> int:
    """Resident bytes."""
    with open(f"/proc/{process.process.pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_request_gets_a_clear_answer_or_a_closed_connection(server: tuple[Running, int], name: str) -> None:
    data, status = HOSTILE[name]
    said = converse(server[1], data)
    assert SECRET not in said
    assert [answer.status for answer in read_answers(said)] == [status]
    assert converse(server[1], get(b"/small.txt")).endswith(b"twelve bytes")


def test_a_clients_library_fetches_file_after_file_over_one_connection(server: tuple[Running, int]) -> None:
    client = http.client.HTTPConnection("127.0.0.1", server[1], timeout=PATIENCE)
    with contextlib.closing(client):
        client.connect()
        sock = client.sock
        for path, status, body in FETCHED:
            client.request("GET", path)
            answer = client.getresponse()
            assert (answer.status, answer.read()) == (status, body)
            assert client.sock is sock


@pytest.mark.parametrize("start", [pync, plain_pync], ids=["", "without sendfile"])
def test_pipelined_requests_are_answered_in_order_large_files_between_small_ones(root: Path, start) -> None:  # type: ignore[no-untyped-def]
    with serving(root, start) as (_, port):
        said = converse(port, (get(b"/small.txt") + get(b"/big.bin")) * 3)
    assert [answer.body for answer in read_answers(said)] == [b"twelve bytes", BIG] * 3


def test_a_range_of_a_large_file_arrives_alone(server: tuple[Running, int]) -> None:
    request = b"GET /big.bin HTTP/1.1\r\nHost: a\r\nRange: bytes=1000000-2999999\r\n\r\n"
    (answer,) = read_answers(converse(server[1], request))
    assert (answer.status, answer.body) == (206, BIG[1_000_000:3_000_000])


def test_a_pipe_in_the_folder_does_not_hold_up_the_server(server: tuple[Running, int]) -> None:
    assert [answer.status for answer in read_answers(converse(server[1], get(b"/pipe")))] == [404]


def test_the_page_of_the_root_shows_who_is_connected(server: tuple[Running, int]) -> None:
    with dial(server[1]) as one, dial(server[1]) as other:
        other.sendall(get(b"/"))
        other.shutdown(socket.SHUT_WR)
        (page,) = read_answers(read_to_end(other))
        for sock in (one, other):
            host, port = sock.getsockname()
            assert f"<td>{host} port {port}</td>".encode() in page.body
    assert b'<a href="sub/">sub/</a>' in page.body


@pytest.mark.slow
def test_a_silent_client_and_one_that_drips_are_closed_after_ten_seconds(server: tuple[Running, int]) -> None:
    began = time.monotonic()
    with dial(server[1]) as silent, dial(server[1]) as slow:
        slow.sendall(b"GET / HTTP/1.1\r\n")
        slow.settimeout(0.5)
        said = b""
        while not said:
            try:
                said = slow.recv(1 << 16)
            except TimeoutError:
                slow.sendall(b"X")
        took = time.monotonic() - began
        assert said.startswith(b"HTTP/1.1 408 ")
        assert 9.5 < took < 20
        assert silent.recv(1) == b""


def test_a_file_that_becomes_shorter_while_it_is_sent_ends_the_connection(
    server: tuple[Running, int], root: Path
) -> None:
    path = root / "shrinking.bin"
    with open(path, "wb") as file, dial(server[1]) as sock:
        file.truncate(HUGE)
        sock.sendall(get(b"/shrinking.bin"))
        assert b"Content-Length: %d\r\n" % HUGE in read_head(sock)
        file.truncate(1000)
        got = len(read_to_end(sock))
    path.unlink()
    assert got < HUGE


def test_of_a_file_that_grows_while_it_is_sent_only_the_promised_bytes_come(
    server: tuple[Running, int], root: Path
) -> None:
    path = root / "growing.bin"
    with open(path, "wb") as file, dial(server[1]) as sock:
        file.truncate(HUGE)
        sock.sendall(get(b"/growing.bin") + get(b"/small.txt"))
        sock.shutdown(socket.SHUT_WR)
        read_head(sock)
        file.truncate(HUGE * 2)
        left = HUGE
        while left:
            left -= len(sock.recv(min(left, 1 << 20)))
        (answer,) = read_answers(read_to_end(sock))
    path.unlink()
    assert answer.body == b"twelve bytes"


def test_clients_that_leave_in_the_middle_leave_nothing_behind(server: tuple[Running, int]) -> None:
    process, port = server
    before = eventually(lambda: descriptors(process), "descriptors")
    for data in (get(b"/huge.bin"), get(b"/huge.bin") * 20, b"GET /hu", get(b"/") * 50, b"\x16\x03"):
        for _ in range(5):
            with dial(port) as sock:
                sock.sendall(data)
                sock.settimeout(PATIENCE)
                if b"\r\n\r\n" in data:
                    sock.recv(10)
    eventually(lambda: descriptors(process) <= before, "as few descriptors as before")
    assert converse(port, get(b"/small.txt")).endswith(b"twelve bytes")


@pytest.mark.slow
def test_a_client_that_asks_and_never_reads_holds_no_memory(root: Path) -> None:
    with serving(root) as (process, port):
        converse(port, get(b"/") + get(b"/big.bin"))
        before = memory(process)
        with contextlib.ExitStack() as stack:
            for target in (b"/", b"/small.txt", b"/huge.bin"):
                sock = stack.enter_context(dial(port))
                sock.settimeout(0.3)
                with contextlib.suppress(TimeoutError):
                    while True:
                        sock.send(get(target) * 1000)
            assert converse(port, get(b"/small.txt")).endswith(b"twelve bytes")
            assert memory(process) - before < 8 << 20


def test_clients_that_take_a_long_listing_slowly_share_its_memory(tmp_path: Path) -> None:
    for number in range(5000):
        (tmp_path / f"the-name-of-a-file-{number}").touch()
    with serving(tmp_path) as (process, port), contextlib.ExitStack() as stack:
        for _ in range(200):
            sock = stack.enter_context(socket.socket())
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.connect(("127.0.0.1", port))
            sock.sendall(get(b"/"))
            assert sock.recv(1) == b"H"  # under way
        (answer,) = read_answers(converse(port, get(b"/")))
        assert answer.body.count(b"the-name-of-a-file-4999") == 2
        assert memory(process) < 64 << 20


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_a_long_listing_is_whole_and_sorted_for_either_version_and_head_has_none(
    tmp_path: Path, version: bytes
) -> None:
    for number in range(1000):
        (tmp_path / f"{number:04}").touch()
    head, asked = (b"%b / HTTP/%b\r\nHost: a\r\n\r\n" % (method, version) for method in (b"HEAD", b"GET"))
    with serving(tmp_path) as (_, port):
        (answer,) = read_answers(converse(port, asked))
        body = answer.body
        (answer,) = read_answers(converse(port, head), b"HEAD")
    names = re.findall(rb'href="(\d+)"', body)
    assert names == sorted(names)
    assert len(names) == 1000
    assert body.endswith(b"</html>\n")
    assert answer.body == b""


def test_without_descriptors_it_is_busy_and_afterwards_serves_again(root: Path) -> None:
    words = ["-v", "-l", "-k", "127.0.0.1", "0", "--http-root", str(root)]
    with running("sh", "-c", 'ulimit -n 24; exec "$0" "$@"', PYNC, *words) as process:
        port = process.port()
        with dial(port) as sock, contextlib.ExitStack() as stack:
            for _ in range(30):
                stack.enter_context(dial(port))
            eventually(lambda: descriptors(process) == 24, "no descriptor is left")
            sock.sendall(get(b"/small.txt") * 20 + get(b"/sub/") * 20)
            sock.shutdown(socket.SHUT_WR)
            assert {answer.status for answer in read_answers(read_to_end(sock))} == {503}
        eventually(lambda: descriptors(process) < 12, "all of them have gone")
        for path in (b"/big.bin", b"/sub/", b"/small.txt"):
            assert [answer.status for answer in read_answers(converse(port, get(path)))] == [200]
        eventually(lambda: descriptors(process) < 12, "nothing is left open")


def test_a_client_that_asks_whether_to_send_a_body_is_refused_before_it_does(server: tuple[Running, int]) -> None:
    head = b"PUT /new HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
    with dial(server[1]) as sock:
        sock.sendall(head)
        assert read_to_end(sock).startswith(b"HTTP/1.1 405 ")


def test_http_alone_serves_the_current_directory(root: Path) -> None:
    with pync("-v", "-l", "-k", "127.0.0.1", "0", "--http", cwd=root / "sub") as process:
        assert converse(process.port(), get(b"/inner.txt")).endswith(b"inner")


def test_without_keep_open_it_serves_until_it_is_stopped(root: Path) -> None:
    with pync("-v", "-l", "127.0.0.1", "0", "--http-root", str(root)) as process:
        port = process.port()
        for _ in range(3):
            assert converse(port, get(b"/small.txt")).endswith(b"twelve bytes")
        stop(process)
        assert process.code() == 128 + signal.SIGTERM


def test_http_alone_serves_this_machine_at_the_first_free_port_from_8000_and_says_where(root: Path) -> None:
    with pync("--http", cwd=root) as one, pync("--http-root", str(root), "-4") as other:
        urls = [process.wait_for(r"^Serving (\S+) at http://127\.0\.0\.1:(80\d\d)/$") for process in (one, other)]
        assert [url[1] for url in urls] == [str(root)] * 2
        ports = [int(url[2]) for url in urls]
        assert ports[0] != ports[1]
        assert sum(f"port {min(ports)} is in use" in line for line in [*one.messages, *other.messages]) == 1
        for port in ports:
            assert converse(port, get(b"/small.txt")).endswith(b"twelve bytes")
        assert sum("Serving" in line for line in one.messages) == 1


def test_a_port_that_is_asked_for_is_not_exchanged(root: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, _, messages = run_pync("--http-root", str(root), "127.0.0.1", str(port))
    assert (code, len(messages)) == (2, 1)


def test_requests_are_told_in_the_common_log_format_or_as_objects(root: Path) -> None:
    asked = get(b'/small.txt?"\\') + get(b"/nothing") + b"HEAD /small.txt HTTP/1.0\r\n\r\n"
    with serving(root) as (process, port):
        converse(port, asked)
        converse(port, b"\x16\x03")
        lines = [process.wait_for(r'^127\.0\.0\.1 - - \[[^]]+ [+-]\d{4}\] (".*)')[1] for _ in range(4)]
    nothing = len(error_page(404))
    assert lines[0] == r'"GET /small.txt?\"\\ HTTP/1.1" 200 12'
    assert lines[1:3] == [f'"GET /nothing HTTP/1.1" 404 {nothing}', '"HEAD /small.txt HTTP/1.0" 200 -']
    assert re.fullmatch(r'"-" 400 \d+', lines[3])
    with pync("--json", "-l", "127.0.0.1", "0", "--http-root", str(root)) as process:
        url = json.loads(process.wait_for('"event": "serving"').string)["url"]
        converse(int(url.split(":")[-1][:-1]), get(b"/nothing"))
        told = json.loads(process.wait_for('"event": "request"').string)
    assert (told["method"], told["target"], told["status"], told["bytes"]) == ("GET", "/nothing", 404, nothing)
    assert told["address"] == "127.0.0.1"


def test_of_a_body_that_was_not_taken_the_bytes_are_told_that_were_sent(root: Path) -> None:
    with serving(root) as (process, port):
        with dial(port) as sock:
            sock.sendall(get(b"/huge.bin"))
            read_head(sock)
        sent = int(process.wait_for(r'"GET /huge.bin HTTP/1.1" 200 (\d+)')[1])
    assert 0 < sent < HUGE


def test_without_a_host_only_this_machine_is_served(root: Path) -> None:
    with pync("-v", "-l", "-k", "0", "--http-root", str(root)) as process:
        assert process.wait_for(r"Listening on (\S+) ")[1] in ("127.0.0.1", "::1")


@pytest.mark.parametrize(("name", "why"), [("small.txt", "Not a directory"), ("nothing", "No such file or directory")])
def test_what_is_no_directory_is_said_in_one_line(root: Path, name: str, why: str) -> None:
    path = root / name
    code, out, messages = run_pync("-l", "127.0.0.1", "0", "--http-root", str(path))
    assert (code, out, messages[-1]) == (2, b"", f"pync: serve {path}: {why}")
