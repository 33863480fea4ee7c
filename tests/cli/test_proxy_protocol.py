"""--proxy-protocol and --send-proxy: the header by hand, from and to real HAProxy and nginx.

How headers are read and written is in wire/test_proxyheader, how they are awaited in serving/test_proxied.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pync.wire.proxyheader import SIGNATURE
from tests.running import (
    PATIENCE,
    eventually,
    is_listening,
    peer,
    pync,
    run_pync,
    running,
    unused_port,
)
from tests.sockets import accepted, port_of, receive_all, reset

if TYPE_CHECKING:
    from collections.abc import Iterator

TOLD = b"PROXY TCP4 192.0.2.7 192.0.2.1 5555 80\r\n"
TOLD_6 = b"PROXY TCP6 2001:db8::7 2001:db8::1 5555 80\r\n"
LOCAL = SIGNATURE + b"\x20\x00\x00\x00"


@contextlib.contextmanager
def telling(port: int, header: bytes) -> Iterator[socket.socket]:
    """A connection that begins with this header."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as sock:
        sock.sendall(header)
        yield sock


def answer(port: int, header: bytes, data: bytes = b"ping") -> bytes:
    """What comes back to these bytes, b"" where the connection is closed instead."""
    with contextlib.suppress(ConnectionResetError, BrokenPipeError), telling(port, header + data) as sock:
        sock.shutdown(socket.SHUT_WR)
        return receive_all(sock)
    return b""


SHOWN = 'echo "$PYNC_REMOTE_ADDR $PYNC_REMOTE_PORT $PYNC_PROTO $(cat)"'


@pytest.mark.parametrize(
    ("header", "client"),
    [
        (TOLD, b"192.0.2.7 5555"),
        (TOLD_6, b"2001:db8::7 5555"),
        (b"PROXY TCP6 ::ffff:192.0.2.9 ::ffff:192.0.2.1 5555 80\r\n", b"192.0.2.9 5555"),
        (b"PROXY UNKNOWN 1 2 3\r\n", b"127.0.0.1 {port}"),
        (LOCAL, b"127.0.0.1 {port}"),
        (SIGNATURE + b"\x21\x11\x00\x0c" + bytes([192, 0, 2, 8, 192, 0, 2, 1, 1, 0, 0, 80]), b"192.0.2.8 256"),
    ],
)
@pytest.mark.parametrize("options", [(), ("-o", os.devnull), ("--workers", "2"), ("--loop", "asyncio")])
def test_a_program_is_told_the_client_and_gets_what_is_behind_the_header(
    options: tuple[str, ...], header: bytes, client: bytes
) -> None:
    if "--workers" in options and "-o" in options:
        return
    with (
        pync("-l", "-k", "--proxy-protocol", *options, "-c", SHOWN, "127.0.0.1", "0") as listener,
        telling(listener.port(), header + b"ping") as sock,
    ):
        sock.shutdown(socket.SHUT_WR)
        port = str(sock.getsockname()[1]).encode()
        assert receive_all(sock) == client.replace(b"{port}", port) + b" TCP ping\n"


def test_messages_lines_and_rules_are_about_the_told_client() -> None:
    words = ("-l", "-k", "-v", "--prefix", "--proxy-protocol", "--deny", "2001:db8::/32", "127.0.0.1", "0")
    with pync(*words) as listener:
        port = listener.port()
        assert answer(port, TOLD_6) == b""
        listener.wait_for(r"^Connection from 2001:db8::7 5555 refused by rule$")
        with telling(port, TOLD + b"hi\n"):
            listener.wait_for(r"^The proxy 127\.0\.0\.1 port \d+ speaks for 192\.0\.2\.7 port 5555$")
            listener.wait_for(r"^Connection received on 192\.0\.2\.7 5555$")
            assert listener.read(18) == b"192.0.2.7:5555 hi\n"
        listener.wait_for(r"^192\.0\.2\.7 port 5555 has left")


def test_what_a_proxy_knows_besides_is_shown() -> None:
    def extension(kind: int, value: bytes) -> bytes:
        return bytes([kind]) + len(value).to_bytes(2, "big") + value

    tls = extension(0x20, b"\1\0\0\0\0" + extension(0x21, b"TLSv1.3"))
    body = bytes([192, 0, 2, 7, 192, 0, 2, 1, 1, 0, 0, 80]) + extension(1, b"h2") + extension(2, b"\x1b[1m.example")
    header = SIGNATURE + b"\x21\x11" + (len(body) + len(tls)).to_bytes(2, "big") + body + tls
    with pync("-l", "-v", "--echo", "--proxy-protocol", "127.0.0.1", "0") as listener:
        assert answer(listener.port(), header) == b"ping"
        listener.wait_for(r"192\.0\.2\.7 port 256, ALPN h2, authority \\x1b\[1m\.example, TLS TLSv1\.3$")


def test_the_access_log_names_the_told_client_and_a_told_stranger_is_not_taken_for_local(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with (
        pync("-l", "-v", "--http-root", str(tmp_path), "--proxy-protocol", "-U", str(path)) as listener,
        socket.socket(socket.AF_UNIX) as sock,
    ):
        listener.wait_for("^Listening on")
        sock.settimeout(PATIENCE)
        sock.connect(str(path))
        sock.sendall(TOLD + b"GET / HTTP/1.0\r\n\r\n")
        assert b" 200 OK" in receive_all(sock)
        listener.wait_for(r'^192\.0\.2\.7 - - \[.*\] "GET / HTTP/1\.0" 200')


@pytest.mark.parametrize(("rules", "trusted"), [("127.0.0.0/8", True), ("192.0.2.0/24,::1", False)])
def test_only_trusted_proxies_may_tell(rules: str, trusted: bool) -> None:
    with pync("-l", "-k", "-v", "--echo", "--proxy-protocol", "--proxy-protocol-from", rules, "127.0.0.1", "0") as one:
        assert answer(one.port(), TOLD) == (b"ping" if trusted else b"")
        one.wait_for(
            "received on 192.0.2.7" if trusted else r"^Connection from 127\.0\.0\.1 \d+ refused by rule: no tr"
        )


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\n\r\n", b"PROXY TCP4 1.2.3.4", b"", SIGNATURE + b"\x21\x11\xff\xff"]
)
def test_what_does_not_begin_with_a_header_is_closed_and_no_error(data: bytes) -> None:
    with pync("-l", "-k", "--echo", "--proxy-protocol", "127.0.0.1", "0") as listener:
        port = listener.port()
        assert answer(port, data, b"") == b""
        assert answer(port, TOLD) == b"ping"
        listener.process.terminate()
        listener.finish()
        assert len(listener.messages) == 1  # where it listens


def test_a_slow_header_is_closed_in_time_and_holds_up_nobody() -> None:
    with pync("-l", "-k", "--echo", "--proxy-protocol", "--max-conns", "1", "127.0.0.1", "0") as listener:
        port = listener.port()
        with telling(port, b"") as silent, telling(port, TOLD[:9]) as slow:
            for _ in range(3):
                assert eventually(lambda: answer(port, TOLD), "others are served") == b"ping"
            assert (silent.recv(1), slow.recv(1)) == (b"", b"")


def test_a_health_check_is_no_client() -> None:
    """It begins no program, takes no place of --max-conns, and its reset is no error."""
    words = ("--proxy-protocol", "--max-conns", "1", "-c", "echo here; cat", "127.0.0.1", "0")
    with pync("-l", "-k", *words) as listener:
        port = listener.port()
        with telling(port, LOCAL) as check:
            assert answer(port, TOLD) == b"here\nping"
            reset(check)
        assert eventually(lambda: answer(port, LOCAL, b"talks"), "the place is free again") == b"here\ntalks"
        listener.process.terminate()
        listener.finish()
        assert len(listener.messages) == 1


@pytest.mark.parametrize("words", [(), ("-c", SHOWN)])
def test_a_listener_of_one_client_is_used_up_by_nothing_but_a_told_client(words: tuple[str, ...]) -> None:
    rules = ("--proxy-protocol", "--deny", "2001:db8::/32")
    with pync("-l", "-v", *rules, *words, "127.0.0.1", "0", stdin=subprocess.DEVNULL) as listener:
        port = listener.port()
        with telling(port, LOCAL) as check:
            reset(check)
        assert answer(port, TOLD_6) == answer(port, b"nonsense") == b""
        with telling(port, TOLD + b"ping") as sock:
            sock.shutdown(socket.SHUT_WR)
            assert receive_all(sock) == (b"192.0.2.7 5555 TCP ping\n" if words else b"")
        assert listener.finish() == (0, b"" if words else b"ping")
        assert "Connection received on 192.0.2.7 5555" in listener.messages


# --- telling


@pytest.mark.parametrize("program", [(), ("-c", "echo ping")])
def test_a_header_of_ours_comes_before_the_data(program: tuple[str, ...], server: socket.socket) -> None:
    with pync("--send-proxy", "1", *program, "127.0.0.1", port_of(server)) as client, accepted(server) as sock:
        client.stdin.write(b"ping\n")
        client.stdin.close()
        port = sock.getpeername()[1]
        sock.shutdown(socket.SHUT_WR)
        assert receive_all(sock) == f"PROXY TCP4 127.0.0.1 127.0.0.1 {port} {port_of(server)}\r\nping\n".encode()
        assert client.code() == 0


def test_through_a_path_there_is_nothing_to_tell(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with pync("-l", "-v", "--echo", "--proxy-protocol", "-U", path) as listener:
        listener.wait_for("^Listening on")
        assert run_pync("--send-proxy", "2", "-U", path, stdin=b"ping") == (0, b"ping", [])
        listener.wait_for("speaks for an unknown client$")


@pytest.mark.parametrize(
    "words",
    ["--send-proxy 3 h 1", "--send-proxy 1 -l 1", "--send-proxy 1 -u h 1", "--send-proxy 1 -z h 1",
     "--proxy-protocol h 1", "-l -u -k --echo --proxy-protocol 0", "-l --echo --proxy-protocol-from ::1 0",
     "-l --echo --proxy-protocol --proxy-protocol-from 1.2. 0"],
)  # fmt: skip
def test_what_makes_no_sense_is_a_usage_error(words: str) -> None:
    assert run_pync(*words.split())[0] == 2


# --- real proxies

HAPROXY = """
defaults
  mode tcp
  timeout connect 5s
  timeout client 5s
  timeout server 5s
listen between
  bind 127.0.0.1:{front} {bind}
  server there 127.0.0.1:{back} {server}
"""
NGINX = """
daemon off; pid {folder}/pid; worker_processes 1; error_log {folder}/error;
load_module /usr/lib/nginx/modules/ngx_stream_module.so;
events {{}}
stream {{ server {{ listen 127.0.0.1:{front} {bind}; proxy_pass 127.0.0.1:{back}; {server} }} }}
"""


@contextlib.contextmanager
def haproxy(folder: Path, back: int, bind: str = "", server: str = "") -> Iterator[int]:
    """HAProxy before a port of ours; gives its own."""
    front = unused_port()
    (folder / "haproxy").write_text(HAPROXY.format(front=front, back=back, bind=bind, server=server))
    with running(peer("haproxy"), "-db", "-q", "-f", str(folder / "haproxy")):
        eventually(lambda: is_listening(front), "haproxy listens")
        yield front


@contextlib.contextmanager
def nginx(folder: Path, back: int, bind: str = "", server: str = "") -> Iterator[int]:
    """The same with nginx."""
    front = unused_port()
    (folder / "nginx").write_text(NGINX.format(folder=folder, front=front, back=back, bind=bind, server=server))
    with running(peer("nginx"), "-p", str(folder), "-e", str(folder / "error"), "-c", str(folder / "nginx")):
        eventually(lambda: is_listening(front), "nginx listens")
        yield front


PROXIES = {"haproxy": haproxy, "nginx": nginx}


@pytest.mark.parametrize(
    ("proxy", "words"),
    [
        ("haproxy", "send-proxy"),
        ("haproxy", "send-proxy-v2"),
        ("haproxy", "send-proxy-v2 proxy-v2-options crc32c,unique-id"),
        ("nginx", "proxy_protocol on;"),
    ],
)
def test_a_real_proxy_tells_whose_connection_it_is(proxy: str, words: str, tmp_path: Path) -> None:
    with (
        pync("-l", "-k", "-v", "--echo", "--proxy-protocol", "127.0.0.1", "0") as listener,
        PROXIES[proxy](tmp_path, listener.port(), server=words) as front,
        socket.create_connection(("127.0.0.1", front), PATIENCE) as sock,
    ):
        sock.sendall(b"ping")
        assert sock.recv(4) == b"ping"
        listener.wait_for(rf"^Connection received on 127\.0\.0\.1 {sock.getsockname()[1]}$")


@pytest.mark.parametrize(("proxy", "bind"), [("haproxy", "accept-proxy"), ("nginx", "proxy_protocol")])
@pytest.mark.parametrize("version", ["1", "2"])
def test_a_real_proxy_takes_our_header(proxy: str, bind: str, version: str, tmp_path: Path) -> None:
    with (
        pync("-l", "-k", "--echo", "127.0.0.1", "0") as listener,
        PROXIES[proxy](tmp_path, listener.port(), bind=bind) as front,
        pync("--send-proxy", version, "127.0.0.1", str(front)) as client,
    ):
        client.stdin.write(b"ping")
        assert client.read(4) == b"ping"


def test_health_checks_of_haproxy_say_nothing_and_take_no_place(tmp_path: Path) -> None:
    words = ("-l", "-k", "--echo", "--proxy-protocol", "--max-conns", "1", "127.0.0.1", "0")
    checks = "send-proxy-v2 check check-send-proxy inter 20ms"
    with pync(*words, "-v") as told, haproxy(tmp_path, told.port(), server=checks) as front:
        for _ in range(5):
            told.wait_for("spoke for itself and sent no data$")
        with socket.create_connection(("127.0.0.1", front), PATIENCE) as sock:
            sock.sendall(b"ping")
            assert sock.recv(4) == b"ping"
            for _ in range(5):  # beside a client that has the only place
                told.wait_for("spoke for itself and sent no data$")
        told.process.terminate()
        told.finish()
        assert not [line for line in told.messages if "refused" in line and "by rule, 0 by limit" not in line]
        assert len([line for line in told.messages if re.match("Connection received", line)]) == 1
