"""-z --banner: services that greet, that answer when they are asked, and that say nothing at all.

Real nginx, redis-server and memcached, and services by script that look at what they are sent. How an
interview goes on is tested in probe/test_sweep, what is asked and shown in wire/test_probes.
"""

from __future__ import annotations

import contextlib
import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.running import PATIENCE, eventually, is_listening, peer, run_pync, running, unused_port
from tests.sockets import port_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HEAD = b"HEAD / HTTP/1.0\r\n\r\n"


def banner(port: int | str) -> str | None:
    """What is shown behind the success of the port; the same in a line and as JSON."""
    code, _, [line] = run_pync("-z", "--banner", "127.0.0.1", str(port))
    assert code == 0
    return line.partition("succeeded!")[2].strip() or None


@contextlib.contextmanager
def service(answers: dict[bytes, bytes], connections: int) -> Iterator[tuple[int, list[bytes]]]:
    """Answers each connection's first bytes as said here, silence where they are not; gives what it was sent."""
    heard: list[bytes] = []

    def serve(server: socket.socket) -> None:
        for _ in range(connections):
            connection, _ = server.accept()
            connection.settimeout(PATIENCE)
            with connection:
                heard.append(connection.recv(4096))
                connection.sendall(answers.get(heard[-1], b""))
                while connection.recv(4096):
                    pass

    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:
        server.settimeout(PATIENCE)
        served = pool.submit(serve, server)
        yield server.getsockname()[1], heard
        served.result(PATIENCE)


@pytest.mark.parametrize(
    ("answers", "asked", "shown"),
    [
        ({HEAD: b"HTTP/1.1 200 OK\r\nServer: x/1\r\n\r\n"}, [HEAD], "HTTP/1.1 200 OK; Server: x/1"),
        ({HEAD: b"-ERR\r\n", b"PING\r\n": b"+PONG\r\n"}, [HEAD, b"PING\r\n"], "+PONG"),
        ({HEAD: b"ERROR\r\n", b"version\r\n": b"VERSION 1.6\r\n"}, [HEAD, b"version\r\n"], "VERSION 1.6"),
        ({b"version\r\n": b"VERSION 1.6\r\n"}, [HEAD, b"PING\r\n", b"version\r\n"], "VERSION 1.6"),
        ({HEAD: b"Protocol mismatch\r\n"}, [HEAD], "Protocol mismatch"),
        ({}, [HEAD, b"PING\r\n", b"version\r\n"], None),
    ],
)
def test_a_silent_service_is_asked_until_it_answers(
    answers: dict[bytes, bytes], asked: list[bytes], shown: str | None
) -> None:
    with service(answers, len(asked)) as (port, heard):
        assert banner(port) == shown
        eventually(lambda: len(heard) == len(asked), "all questions")
    assert heard == asked


def test_a_service_that_greets_is_not_asked() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:
        server.settimeout(PATIENCE)
        asking = pool.submit(banner, port_of(server))
        connection, _ = server.accept()
        with connection:
            connection.settimeout(PATIENCE)
            connection.sendall(b"SSH-2.0-OpenSSH_9.2p1\r\n")
            assert connection.recv(16) == b""
        assert asking.result(PATIENCE) == "SSH-2.0-OpenSSH_9.2p1"


def test_many_silent_services_are_asked_side_by_side() -> None:
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(12)]
        started = time.monotonic()
        words = ["127.0.0.1", *[port_of(server) for server in servers]]
        code, output, _ = run_pync("-z", "--banner", "--json", *words)
        assert time.monotonic() - started < 12 * 2.3 / 2
    assert (code, [json.loads(line)["banner"] for line in output.splitlines()]) == (0, [None] * 12)


NGINX = """
pid {directory}/pid; error_log {directory}/error.log; daemon off; worker_processes 1;
events {{}}
http {{ access_log off; server {{ listen 127.0.0.1:{port}; return 204; }} }}
"""


def test_real_servers_are_known_by_what_they_answer(tmp_path: Path) -> None:
    ports = [unused_port() for _ in range(3)]
    (tmp_path / "nginx.conf").write_text(NGINX.format(directory=tmp_path, port=ports[0]))
    redis = ["--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
    commands = [
        [peer("nginx"), "-p", str(tmp_path), "-e", str(tmp_path / "error.log"), "-c", str(tmp_path / "nginx.conf")],
        [peer("redis-server"), *redis, "--port", str(ports[1])],
        [peer("memcached"), "-l", "127.0.0.1", "-U", "0", "-u", "nobody", "-p", str(ports[2])],
    ]
    with contextlib.ExitStack() as stack:
        for command in commands:
            stack.enter_context(running(*command))
        eventually(lambda: all(is_listening(port) for port in ports), "three listeners")
        shown = [banner(port) for port in ports]
    assert shown[0] is not None
    assert shown[0].startswith("HTTP/1.1 204 No Content; Server: nginx/")
    assert shown[1] == "+PONG"
    assert shown[2] is not None
    assert shown[2].startswith("VERSION 1.")
