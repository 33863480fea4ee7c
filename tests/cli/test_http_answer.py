"""A question to a web server and its answer: our FIN waits, because servers take a half-close for a hang-up.

Real nginx, in front of a slow upstream too, real Node, and a peer whose every byte is in the test's hand.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.running import PATIENCE, eventually, is_listening, peer, pync, run_pync, running, unused_port
from tests.sockets import accepted, port_of, receive_all

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: What the servers take for an answer.
SLOW = 0.6
#: Far less than the 75 s and 60 s for which these servers keep a silent connection.
SOON = 20.0

NGINX = """
pid {directory}/pid; error_log {directory}/error.log; daemon off; worker_processes 1;
events {{}}
http {{
  access_log off; keepalive_timeout 75;
  client_body_temp_path {directory}/a; proxy_temp_path {directory}/b; fastcgi_temp_path {directory}/c;
  uwsgi_temp_path {directory}/d; scgi_temp_path {directory}/e;
  server {{
    listen 127.0.0.1:{port};
    location /return {{ return 200 "returned"; }}
    location /none {{ return 204; }}
    location /slow {{ proxy_pass http://127.0.0.1:{upstream}; }}
  }}
}}
"""

NODE = """
require("http").createServer((request, response) => {
  let body = ""
  request.on("data", piece => body += piece)
  request.on("end", () => setTimeout(() => { response.write("node "); response.end(body + request.url) }, %d))
}).listen({port: %d, host: "127.0.0.1", keepAliveTimeout: 60000})
"""


def answer_slowly(server: socket.socket) -> None:
    """An upstream: each connection gets an answer without a length, which ends with it."""
    with contextlib.suppress(OSError):
        while True:
            connection, _ = server.accept()
            with connection:
                connection.recv(1 << 16)
                time.sleep(SLOW)  # this is what makes it slow
                connection.sendall(b"HTTP/1.1 200 OK\r\n\r\nfrom upstream")


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory, port = tmp_path_factory.mktemp("nginx"), unused_port()
    with socket.create_server(("127.0.0.1", 0)) as upstream:
        threading.Thread(target=answer_slowly, args=(upstream,), daemon=True).start()
        (directory / "conf").write_text(NGINX.format(directory=directory, port=port, upstream=port_of(upstream)))
        words = ["-p", str(directory), "-e", str(directory / "error.log"), "-c", str(directory / "conf")]
        with running(peer("nginx"), *words):
            eventually(lambda: is_listening(port), "nginx listens")
            yield str(port)


@pytest.fixture(scope="module")
def node() -> Iterator[str]:
    port = unused_port()
    with running(peer("node"), "-e", NODE % (SLOW * 1000, port)):
        eventually(lambda: is_listening(port), "node listens")
        yield str(port)


def ask(port: str, question: str, *words: str) -> bytes:
    started = time.monotonic()
    code, answer, messages = run_pync(*words, "127.0.0.1", port, stdin=question.encode())
    assert (code, messages) == (0, [])
    assert time.monotonic() - started < SOON
    return answer


OLD = "{} {} HTTP/1.0\r\n\r\n"
NEW = "{} {} HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize("question", [OLD, NEW], ids=["HTTP/1.0", "keep-alive"])
def test_nginx_answers_from_a_slow_upstream_or_itself(question: str, nginx: str) -> None:
    chunked = question == NEW
    slow = ask(nginx, question.format("GET", "/slow"))
    assert slow.endswith(b"d\r\nfrom upstream\r\n0\r\n\r\n" if chunked else b"\r\n\r\nfrom upstream")
    assert ask(nginx, question.format("GET", "/return")).endswith(b"\r\n\r\nreturned")
    assert ask(nginx, question.format("HEAD", "/slow")).endswith(b"\r\n\r\n")
    assert ask(nginx, question.format("GET", "/none")).startswith(b"HTTP/1.1 204 No Content")


def test_nginx_answers_several_requests_in_a_row(nginx: str) -> None:
    answer = ask(nginx, NEW.format("GET", "/return") + NEW.format("HEAD", "/return") + NEW.format("GET", "/slow"))
    assert answer.count(b"HTTP/1.1 200 OK") == 3
    assert answer.endswith(b"from upstream\r\n0\r\n\r\n")


@pytest.mark.parametrize("question", [OLD, NEW], ids=["HTTP/1.0", "keep-alive"])
def test_node_answers_slowly(question: str, node: str) -> None:
    assert b"node /x" in ask(node, question.format("GET", "/x")).replace(b"\r\n2\r\n", b"").replace(b"5\r\n", b"")


def test_node_answers_a_post_whose_body_looks_like_a_request(node: str) -> None:
    body = NEW.format("GET", "/trap")
    head = f"POST /y HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    assert b"GET /trap" in ask(node, head + body)


def test_newlines_that_become_crlf_make_a_request_too(nginx: str) -> None:
    assert ask(nginx, "GET /slow HTTP/1.0\n\n", "-C").endswith(b"from upstream")


def test_a_request_from_a_file_is_seen_too(nginx: str, tmp_path: Path) -> None:
    (tmp_path / "request").write_text(OLD.format("GET", "/slow"))
    with (tmp_path / "request").open("rb") as file, pync("127.0.0.1", nginx, stdin=file) as client:
        code, answer = client.finish()
    assert code == 0
    assert answer.endswith(b"from upstream")


def test_a_request_in_pieces_holds_our_end_until_its_answer_is_complete(server: socket.socket) -> None:
    with pync("127.0.0.1", port_of(server)) as client, accepted(server) as web:
        for piece in ("G", "ET / HT", "TP/1.1\r\nHost", ": x\r\n\r", "\n"):
            client.stdin.write(piece.encode())
            assert web.recv(100) == piece.encode()
        client.stdin.close()
        assert not select.select([web], [], [], 0.5)[0]
        web.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nwh")
        assert not select.select([web], [], [], 0.5)[0]
        web.sendall(b"ol")
        assert web.recv(1) == b""
        web.close()
        assert client.finish()[1].endswith(b"\r\n\r\nwhol")


@pytest.mark.parametrize(
    ("words", "question"),
    [("-N", NEW), ("", "GET / HTTP/1.1\r\nHost: x\r\n"), ("", "GET the milk\n"), ("--send-only", NEW)],
    ids=["-N", "half a request", "no request", "--send-only"],
)
def test_otherwise_our_end_comes_at_once(words: str, question: str, server: socket.socket) -> None:
    with pync(*words.split(), "127.0.0.1", port_of(server)) as client, accepted(server) as web:
        client.stdin.write(question.format("GET", "/").encode())
        client.stdin.close()
        web.settimeout(PATIENCE)
        assert receive_all(web) == question.format("GET", "/").encode()


def test_a_big_answer_and_a_big_question_arrive_whole(server: socket.socket, tmp_path: Path) -> None:
    body = b"GET / HTTP/1.1\r\n\r\n" * 300_000
    (tmp_path / "question").write_bytes(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    with (tmp_path / "question").open("rb") as question, (tmp_path / "answer").open("wb") as answer:
        with pync("127.0.0.1", port_of(server), stdin=question, stdout=answer) as client, accepted(server) as web:
            received = b""
            while not received.endswith(b"\r\n\r\n" + body):
                received += web.recv(1 << 20)
            web.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            assert web.recv(1) == b""
            web.close()
            assert client.code() == 0
    assert (tmp_path / "answer").read_bytes().endswith(b"\r\n\r\n" + body)
