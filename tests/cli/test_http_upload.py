"""--http-upload and --auth with the installed command: whole files or nothing, inside or nowhere, mine or refused.

What a browser makes of it is in test_http_browser.
"""

from __future__ import annotations

import base64
import contextlib
import os
import re
from typing import TYPE_CHECKING

import pytest

from pync.wire.http.form import FORM, FORM_POLICY
from tests.cli.test_http import converse, dial, read_head, read_to_end
from tests.running import Running, eventually, pync, run_pync, stop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"


@contextlib.contextmanager
def taking(root: Path, *words: str, **popen: object) -> Iterator[tuple[Running, int]]:
    with pync("-l", "-k", "127.0.0.1", "0", "--http-root", str(root), "--http-upload", *words, **popen) as server:
        yield server, server.port()


def put(path: str, body: bytes, fields: bytes = b"") -> bytes:
    return b"PUT %b HTTP/1.1\r\nHost: h\r\n%bContent-Length: %d\r\n\r\n%b" % (path.encode(), fields, len(body), body)


def status(answer: bytes) -> int:
    return int(re.findall(rb"HTTP/1\.1 (\d+) ", answer)[-1])


def files(root: Path) -> dict[str, bytes]:
    """Every file below, hidden ones too."""
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_files_are_stored_whole_under_their_names(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    body = os.urandom(3_000_000)
    with taking(tmp_path) as (_, port):
        assert status(converse(port, put("/one", body))) == 201
        assert status(converse(port, put("/sub/with%20space%3F", b""))) == 201
        chunks = b"".join(b"%x\r\n%b\r\n" % (7, b"chunk %d" % n) for n in range(3)) + b"0\r\n\r\n"
        assert status(converse(port, b"PUT /two HTTP/1.1\r\nHost: h\r\n" + CHUNKED + chunks)) == 201
        assert converse(port, b"GET /one HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").endswith(body)
    assert files(tmp_path) == {"one": body, "sub/with space?": b"", "two": b"chunk 0chunk 1chunk 2"}


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (put("/there", b"new"), 409),
        (put("/sub", b"new"), 409),
        (put("/sub/", b"new"), 400),
        (put("/.hidden", b"new"), 404),
        (put("/.git/x", b"new"), 404),
        (put("/../secret", b"new"), 404),
        (put("/%2e%2e/secret", b"new"), 404),
        (put("/sub%2Fx", b"new"), 404),
        (put("/out/new", b"new"), 404),
        (put("/away", b"new"), 409),
        (put("/none/x", b"new"), 404),
        (put("/" + "x" * 300, b"new"), 404),
        (put("/x", b"new", b"Origin: http://evil\r\n"), 403),
        (put("/x", b"new", b"Origin: null\r\n"), 403),
        (put("/x", b"new", b"Sec-Fetch-Site: cross-site\r\n"), 403),
        (put("/x", b"12345678901"), 413),
        (b"PUT /x HTTP/1.1\r\nHost: h\r\n" + CHUNKED + b"b\r\n12345678901\r\n0\r\n\r\n", 413),
        (b"PUT /x HTTP/1.1\r\nHost: h\r\n" + CHUNKED + b"oops\r\n", 400),
        (b"PUT /x HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nhalf", 400),
        (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", 405),
    ],
)
def test_what_may_not_be_stored_is_refused_and_leaves_nothing(tmp_path: Path, request_: bytes, answer: int) -> None:
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (root / "there").write_bytes(b"old")
    (root / "out").symlink_to("..")
    (root / "away").symlink_to("../secret")
    with taking(root, "--max-upload", "10") as (_, port):
        assert status(converse(port, request_)) == answer
    assert files(tmp_path) == {"root/there": b"old"}


def test_an_own_origin_is_no_other_and_curls_question_is_answered(tmp_path: Path) -> None:
    with taking(tmp_path) as (_, port), dial(port) as sock:
        head, _, body = put("/x", b"body", b"Origin: http://H\r\nExpect: 100-continue\r\n").partition(b"body")
        assert body == b""
        sock.sendall(head)
        assert read_head(sock) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"body")
        assert status(read_to_end(sock)) == 201
    assert files(tmp_path) == {"x": b"body"}


def test_a_name_that_is_taken_is_refused_before_the_file_is_sent(tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(b"old")
    with taking(tmp_path) as (_, port), dial(port) as sock:
        sock.sendall(put("/there", b"body", b"Expect: 100-continue\r\n").partition(b"body")[0])
        assert status(read_head(sock)) == 409


def test_overwriting_replaces_the_file_and_not_what_a_link_leads_to(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "there").write_bytes(b"old")
    (tmp_path / "secret").write_bytes(b"secret")
    (root / "away").symlink_to("../secret")
    with taking(root, "--overwrite") as (_, port):
        assert status(converse(port, put("/there", b"new"))) == 201
        assert status(converse(port, put("/away", b"new"))) == 201
    assert files(tmp_path) == {"root/there": b"new", "root/away": b"new", "secret": b"secret"}


@pytest.mark.parametrize("way", ["client", "server"])
def test_an_upload_that_ends_in_the_middle_leaves_nothing(tmp_path: Path, way: str) -> None:
    with taking(tmp_path) as (server, port), dial(port) as sock:
        sock.sendall(b"PUT /x HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\nhalf")
        eventually(lambda: list(files(tmp_path).values()) == [b"half"], "a draft")
        assert b"pync-upload" not in converse(port, b"GET / HTTP/1.0\r\n\r\n")
        if way == "client":
            sock.close()
        else:
            stop(server)
        eventually(lambda: not list(tmp_path.iterdir()), "nothing is left")


def test_two_of_one_name_at_once_are_one_file_and_one_refusal(tmp_path: Path) -> None:
    with taking(tmp_path) as (_, port), dial(port) as first, dial(port) as second:
        for sock in (first, second):
            sock.sendall(b"PUT /x HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nha")
        eventually(lambda: list(files(tmp_path).values()) == [b"ha", b"ha"], "two drafts")
        first.sendall(b"lf")
        assert status(read_to_end(first)) == 201
        second.sendall(b"ve")
        assert status(read_to_end(second)) == 409
    assert files(tmp_path) == {"x": b"half"}


@pytest.mark.parametrize("way", ["option", "environment"])
def test_only_who_knows_name_and_password_reads_or_writes(tmp_path: Path, way: str) -> None:
    (tmp_path / "file").write_bytes(b"text")
    words = ["--auth", "me:pass:word"] if way == "option" else []
    env = {**os.environ, "PYNC_AUTH": "me:pass:word"} if way == "environment" else None
    with taking(tmp_path, *words, env=env) as (_, port):
        for credentials in (None, b"me:wrong", b"", b"\xff", b"me:pass:word"):
            fields = b"" if credentials is None else b"Authorization: Basic %b\r\n" % base64.b64encode(credentials)
            known = credentials == b"me:pass:word"
            answer = converse(port, b"GET /file HTTP/1.1\r\nHost: h\r\nConnection: close\r\n%b\r\n" % fields)
            assert status(answer) == (200 if known else 401)
            assert (b"WWW-Authenticate: Basic" in answer) == (not known)
            assert status(converse(port, put("/new", b"x", fields))) == (201 if known else 401)
    assert files(tmp_path) == {"file": b"text", "new": b"x"}


def test_a_page_that_somebody_has_sent_cannot_act_for_those_who_look_at_it(tmp_path: Path) -> None:
    with taking(tmp_path) as (_, port):
        converse(port, put("/page.html", b"<script>"))
        converse(port, put("/text", b"text"))
        for path, boxed in (("page.html", True), ("text", False)):
            answer = converse(port, f"GET /{path} HTTP/1.0\r\n\r\n".encode())
            assert (b"Content-Security-Policy: sandbox" in answer) == boxed


def test_without_the_option_nothing_is_taken_and_no_form_shown(tmp_path: Path) -> None:
    with pync("-l", "-k", "127.0.0.1", "0", "--http-root", str(tmp_path)) as server:
        port = server.port()
        assert status(converse(port, put("/x", b"x"))) == 405
        assert b"<script" not in converse(port, b"GET / HTTP/1.0\r\n\r\n")
    assert files(tmp_path) == {}
    for words in (
        ["--http-upload", "-l", "1"],
        ["--http", "-l", "--overwrite", "1"],
        ["--http", "-l", "--auth", "x", "1"],
    ):
        assert run_pync(*words)[0] == 2


def test_the_policy_lets_this_script_run_and_no_other() -> None:
    import hashlib

    [script] = re.findall(r"<script type=\"module\">(.*?)</script>", FORM, re.DOTALL)
    assert base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() in FORM_POLICY


def test_a_large_upload_costs_no_memory_and_holds_up_nobody(tmp_path: Path) -> None:
    size = 200 << 20
    with taking(tmp_path) as (server, port), dial(port) as sock:
        sock.sendall(b"PUT /big HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % size)
        piece = bytes(1 << 20)
        for number in range(size >> 20):
            sock.sendall(piece)
            if number % 50 == 25:
                assert status(converse(port, b"GET / HTTP/1.0\r\n\r\n")) == 200
        assert status(read_to_end(sock)) == 201
        with open(f"/proc/{server.process.pid}/status", encoding="ascii") as text:
            assert int(text.read().partition("VmHWM:")[2].split()[0]) < 64 << 10
    assert (tmp_path / "big").stat().st_size == size
