"""--http: the conversation, with a site in memory and a clock that stands still.

`Client` drives the service as the engine does: more is read only when all was sent. Answers are read
back with h11 in the client's role, which is strict about where each of them ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pync.wire.http.answers import SMALL
from pync.wire.http.pages import Entry, Listing, Refusal
from pync.wire.http.service import BATCH, REQUEST_TIME, STALL_TIME, Visitor, http_service
from pync.wire.services import FilePiece, Service
from tests.wire.hostile_requests import HOSTILE, SECRET, get, with_fields
from tests.wire.http_answers import Answered, read_answers

if TYPE_CHECKING:
    from collections.abc import Sequence

NOW = 1_700_000_000.5
MODIFIED = 784_111_777
DATE = b"Sun, 06 Nov 1994 08:49:37 GMT"
BIG = bytes(range(256)) * (SMALL // 256 + 8)
FILES = {b"small.txt": b"twelve bytes", b"empty": b"", b"big.bin": BIG, b"edge.bin": BIG[:SMALL]}
NAMES = sorted(FILES)


class MemoryFile:
    """A file of MemorySite; `fd` is its number there."""

    type = b"text/plain; charset=utf-8"
    tag = b'"version-1"'
    modified = MODIFIED

    def __init__(self, site: MemorySite, name: bytes, size: int) -> None:
        self.site = site
        self.name = name
        self.fd = NAMES.index(name)
        self.size = size
        site.open.append(self)

    def read(self, offset: int, count: int) -> bytes:
        return FILES[self.name][offset : offset + count]

    def close(self) -> None:
        self.site.open.remove(self)


class MemorySite:
    """A root with FILES, a folder `sub`, and a file `shrunk` that has fewer bytes than its size says."""

    def __init__(self) -> None:
        self.open: list[MemoryFile] = []

    def find(self, names: Sequence[bytes], folder: bool) -> MemoryFile | Listing | None:
        if list(names) in ([], [b"sub"], [b"s\xfcb ?"]):
            return Listing([Entry(name, False, 1) for name in NAMES]) if folder else None
        if len(names) == 1 and not folder and names[0] in FILES:
            return MemoryFile(self, names[0], len(FILES[names[0]]))
        if list(names) == [b"shrunk"]:
            return MemoryFile(self, b"small.txt", 100)
        raise Refusal(404)


class Client:
    """What a connection sees: everything that is said, and whether it is closed."""

    def __init__(self, visitor: Visitor | None = None) -> None:
        self.site = MemorySite()
        self.said = b""
        self.largest = 0
        self.service: Service = http_service(self.site, lambda: NOW, [("192.0.2.7 <b>", 61.0, 5, 6)])(
            visitor or Visitor()
        )
        self._say(self.service.greet())

    def send(self, *pieces: bytes) -> Client:
        for piece in pieces:
            if not self.service.closing:
                self._say(self.service.feed(piece))
        return self

    def end(self) -> Client:
        if not self.service.closing:
            self._say(self.service.end())
        return self

    def expire(self) -> Client:
        self._say(self.service.expire())
        return self

    def _say(self, answer: bytes | FilePiece) -> None:
        while True:
            data = self._bytes(answer)
            self.said += data
            self.largest = max(self.largest, len(data))
            if self.service.closing:
                self.service.close()
                return
            answer = self.service.more()
            if not (answer or self.service.busy):
                return

    def _bytes(self, answer: bytes | FilePiece) -> bytes:
        if isinstance(answer, bytes):
            return answer
        file = self.site.open[-1]
        assert file.fd == answer.fd
        return FILES[file.name][answer.offset : answer.offset + answer.count]


def ask(*fields: bytes, method: bytes = b"GET", target: bytes = b"/small.txt") -> Answered:
    client = Client().send(with_fields(*fields, method=method, target=target))
    (answer,) = read_answers(client.said, method)
    assert client.site.open == []
    return answer


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


# --- files


@pytest.mark.parametrize("name", NAMES)
def test_a_file_comes_whole_with_its_length_and_type(name: bytes) -> None:
    answer = ask(target=b"/" + name)
    assert (answer.status, answer.body) == (200, FILES[name])
    assert answer.headers[b"content-length"] == b"%d" % len(FILES[name])
    assert answer.headers[b"content-type"] == MemoryFile.type
    assert answer.headers[b"x-content-type-options"] == b"nosniff"
    assert answer.headers[b"etag"] == b'"version-1"'
    assert answer.headers[b"last-modified"] == DATE
    assert answer.headers[b"date"] == b"Tue, 14 Nov 2023 22:13:20 GMT"


@pytest.mark.parametrize("target", [b"/small.txt", b"/big.bin", b"/", b"/sub", b"/nothing"])
@pytest.mark.parametrize("fields", [(), (b"Range: bytes=2-70000",), (b"If-None-Match: *",)], ids=["", "range", "known"])
def test_head_says_what_get_would_and_sends_no_body(target: bytes, fields: tuple[bytes, ...]) -> None:
    got, head = ask(*fields, target=target), ask(*fields, target=target, method=b"HEAD")
    assert (head.status, head.headers, head.body) == (got.status, got.headers, b"")


def test_a_large_file_is_named_and_not_read_and_closed_when_it_is_sent() -> None:
    site = MemorySite()
    service = http_service(site, lambda: NOW, [])(Visitor())
    head = service.feed(get(b"/big.bin"))
    assert head.endswith(b"\r\n\r\n")
    piece = service.more()
    assert isinstance(piece, FilePiece)
    assert (piece.offset, piece.count) == (0, len(BIG))
    assert len(site.open) == 1
    assert service.more() == b""
    assert site.open == []


def test_a_file_is_closed_when_the_connection_is_lost_in_the_middle() -> None:
    site = MemorySite()
    service = http_service(site, lambda: NOW, [])(Visitor())
    service.feed(get(b"/big.bin"))
    service.more()
    service.close()
    assert site.open == []


def test_a_small_file_goes_out_in_one_piece_with_its_head() -> None:
    service = http_service(MemorySite(), lambda: NOW, [])(Visitor())
    assert service.feed(get(b"/small.txt")).endswith(b"\r\n\r\ntwelve bytes")


def test_a_file_that_has_just_become_shorter_is_not_answered_with_a_wrong_length() -> None:
    assert ask(target=b"/shrunk").status == 503


# --- folders


def test_the_root_lists_its_files_and_shows_who_is_connected_escaped() -> None:
    page = ask(target=b"/")
    assert page.status == 200
    assert page.headers[b"content-type"] == b"text/html; charset=utf-8"
    assert page.headers[b"content-security-policy"].startswith(b"default-src 'none'; ")
    assert b'<a href="small.txt">small.txt</a>' in page.body
    assert b"192.0.2.7 &lt;b&gt;" in page.body


def test_other_folders_do_not_show_who_is_connected() -> None:
    page = ask(target=b"/sub/")
    assert page.status == 200
    assert b"small.txt" in page.body
    assert b"192.0.2.7" not in page.body


@pytest.mark.parametrize(
    ("target", "location"),
    [
        (b"/sub", b"/sub/"),
        (b"/sub?a=/b&c", b"/sub/?a=/b&c"),
        (b"/s%fcb%20%3f", b"/s%FCb%20%3F/"),
        (b"http://evil.example/sub", b"/sub/"),
    ],
)
def test_a_folder_without_its_slash_moves_to_the_path_with_one(target: bytes, location: bytes) -> None:
    answer = ask(target=target)
    assert (answer.status, answer.headers[b"location"]) == (301, location)


@given(st.binary(min_size=1).map(lambda name: b"".join(b"%%%02x" % byte for byte in name)))
def test_no_path_whatever_moves_to_another_host(target: bytes) -> None:
    for slashes in (b"/", b"//", b"/%2f", b"/\\"):
        answers = read_answers(Client().send(get(slashes + target)).said)
        for answer in answers:
            assert not answer.headers.get(b"location", b"/").startswith((b"//", b"/\\"))


# --- conditions and ranges: their rules are tested in test_conditions.py


def test_a_file_that_is_known_is_not_sent_again() -> None:
    answer = ask(b'If-None-Match: "version-1"')
    assert (answer.status, answer.body) == (304, b"")
    assert answer.headers[b"etag"] == b'"version-1"'
    assert b"content-length" not in answer.headers
    assert ask(b"If-Modified-Since: " + DATE).status == 304


@pytest.mark.parametrize("target", [b"/small.txt", b"/big.bin"])
def test_a_range_is_sent_alone_and_says_where_it_lies(target: bytes) -> None:
    size = len(FILES[target[1:]])
    for field, start, end in ((b"3-6", 3, 7), (b"3-", 3, size), (b"-3", size - 3, size), (b"1-9999999", 1, size)):
        answer = ask(b"Range: bytes=" + field, target=target)
        assert (answer.status, answer.body) == (206, FILES[target[1:]][start:end])
        assert answer.headers[b"content-range"] == b"bytes %d-%d/%d" % (start, end - 1, size)


def test_a_range_that_the_file_does_not_have_is_told_its_size() -> None:
    answer = ask(b"Range: bytes=12-")
    assert (answer.status, answer.headers[b"content-range"]) == (416, b"bytes */12")


def test_a_file_that_has_changed_fails_a_request_for_the_old_one() -> None:
    assert ask(b'If-Match: "version-0"').status == 412
    assert (ask(b'If-Range: "version-0"', b"Range: bytes=1-2").body) == FILES[b"small.txt"]


# --- the connection


def test_pipelined_requests_are_answered_in_order() -> None:
    names = [b"small.txt", b"big.bin", b"empty", b"edge.bin", b"big.bin", b"small.txt"]
    client = Client().send(b"".join(get(b"/" + name) for name in names))
    assert [answer.body for answer in read_answers(client.said)] == [FILES[name] for name in names]
    assert client.site.open == []


def test_a_flood_of_pipelined_requests_is_answered_a_bounded_amount_at_a_time() -> None:
    client = Client().send(get(b"/edge.bin") * 40)
    assert len(read_answers(client.said)) == 40
    assert client.largest < BATCH + SMALL + 1000


@pytest.mark.parametrize(
    ("request_", "connection"),
    [
        (b"GET /small.txt HTTP/1.1\r\nHost: a\r\n\r\n", None),
        (b"GET /small.txt HTTP/1.1\r\nHost: a\r\nConnection: Close\r\n\r\n", b"close"),
        (b"GET /small.txt HTTP/1.1\r\nHost: a\r\nConnection: upgrade, close\r\n\r\n", b"close"),
        (b"GET /small.txt HTTP/1.0\r\n\r\n", b"close"),
        (b"GET /small.txt HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", b"keep-alive"),
        (b"GET /big.bin HTTP/1.0\r\n\r\n", b"close"),
        (b"GET /small.txt HTTP/1.2\r\nHost: a\r\n\r\n", None),
        (b"GET /small.txt HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n", None),
    ],
)
def test_the_connection_stays_open_when_both_want_it_to(request_: bytes, connection: bytes | None) -> None:
    client = Client().send(request_)
    (answer,) = read_answers(client.said)
    assert answer.status == 200
    assert answer.headers.get(b"connection") == connection
    assert client.service.closing == (connection == b"close")


def test_nothing_behind_the_last_request_is_answered() -> None:
    client = Client().send(with_fields(b"Connection: close") + get(b"/small.txt"))
    assert len(read_answers(client.said)) == 1
    assert client.service.feed(get(b"/small.txt")) == b""


@pytest.mark.parametrize(
    "body",
    [
        with_fields(b"Content-Length: 5") + b"hello",
        with_fields(b"Transfer-Encoding: chunked") + b"3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: x\r\n\r\n",
    ],
    ids=["length", "chunks"],
)
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_body_is_read_and_thrown_away_and_the_answer_is_the_last(body: bytes, size: int) -> None:
    client = Client().send(*cut(body + get(b"/small.txt"), size))
    (answer,) = read_answers(client.said)
    assert (answer.status, answer.body) == (200, FILES[b"small.txt"])
    assert answer.headers[b"connection"] == b"close"


def test_who_asks_before_sending_a_body_is_told_to_go_on_once() -> None:
    client = Client().send(with_fields(b"Content-Length: 5", b"Expect: 100-continue"))
    assert client.said == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.send(b"he")
    assert client.said == b"HTTP/1.1 100 Continue\r\n\r\n"
    (answer,) = read_answers(client.send(b"llo").said)
    assert answer.status == 200


def test_who_asks_but_does_not_wait_is_not_told() -> None:
    client = Client().send(with_fields(b"Content-Length: 5", b"Expect: 100-continue") + b"hello")
    assert client.said.startswith(b"HTTP/1.1 200 ")


def test_who_asks_to_send_too_much_is_refused_at_once() -> None:
    client = Client().send(with_fields(b"Content-Length: 5000000", b"Expect: 100-continue", method=b"PUT"))
    assert [answer.status for answer in read_answers(client.said)] == [413]
    assert client.service.closing


@pytest.mark.parametrize(("method", "status"), [(b"POST", 405), (b"DELETE", 405), (b"OPTIONS", 405), (b"BREW", 501)])
def test_other_methods_are_told_which_there_are_and_may_go_on(method: bytes, status: int) -> None:
    client = Client().send(with_fields(method=method) + get(b"/small.txt"))
    refused, served = read_answers(client.said)
    assert (refused.status, refused.headers[b"allow"]) == (status, b"GET, HEAD")
    assert served.status == 200


def test_an_empty_line_before_a_request_is_passed_over() -> None:
    client = Client().send(get(b"/small.txt") + b"\r\n" + get(b"/small.txt"))
    assert [answer.status for answer in read_answers(client.said)] == [200, 200]


def test_the_limits_of_time_are_those_of_the_specification() -> None:
    service = Client().service
    assert (service.time_limit, service.stall_limit) == (REQUEST_TIME, STALL_TIME) == (10.0, 60.0)


@pytest.mark.parametrize(
    "begun",
    [b"G", b"GET / HTTP/1.1\r\nHost: a\r\n", with_fields(b"Content-Length: 5") + b"hell", b"\r\nG"],
    ids=["method", "head", "body", "line"],
)
def test_a_request_that_takes_too_long_is_answered_and_closed(begun: bytes) -> None:
    client = Client().send(begun).expire()
    assert [answer.status for answer in read_answers(client.said)] == [408]
    assert client.service.closing


@pytest.mark.parametrize("before", [b"", b"\r\n", get(b"/small.txt"), get(b"/small.txt") + b"\r\n"])
def test_a_connection_that_only_waits_is_closed_without_a_word(before: bytes) -> None:
    client = Client().send(before)
    said = client.said
    assert client.expire().said == said
    assert client.service.closing


def test_a_client_that_half_closes_gets_all_its_answers() -> None:
    client = Client().send(get(b"/small.txt") + get(b"/big.bin")).end()
    assert [answer.body for answer in read_answers(client.said)] == [FILES[b"small.txt"], BIG]
    assert [answer.status for answer in read_answers(Client().send(b"GET /").end().said)] == [400]


# --- hostile clients


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_request_gets_a_clear_answer(name: str) -> None:
    data, status = HOSTILE[name]
    client = Client().send(*cut(data, 1 << 16)).end()
    answers = read_answers(client.said)
    assert answers[-1].status == status
    assert len(answers) == 1
    assert SECRET not in client.said


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_request_gets_the_same_answer_in_small_pieces(name: str) -> None:
    data, status = HOSTILE[name]
    answers = read_answers(Client().send(*cut(data, 37)).end().said)
    assert [answer.status for answer in answers] == [status]


GOOD = st.sampled_from(
    [
        get(b"/small.txt"),
        get(b"/big.bin"),
        get(b"/"),
        get(b"/sub"),
        get(b"/%6eothing"),
        with_fields(b"Range: bytes=-5"),
        with_fields(b'If-None-Match: W/"version-1", "x"'),
        with_fields(b"Content-Length: 0", method=b"POST"),
        b"\r\n" + get(b"/empty"),
        b"GET /small.txt HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        with_fields(b"Content-Length: 3") + b"abc",
        with_fields(b"Transfer-Encoding: chunked") + b"3\r\nabc\r\n0\r\n\r\n",
        with_fields(b"Connection: close"),
    ]
)
PIECES = st.lists(st.integers(1, 200), min_size=1)


@given(st.lists(GOOD), PIECES)
def test_cut_anywhere_the_answers_to_good_requests_are_the_same(requests: list[bytes], sizes: list[int]) -> None:
    stream = b"".join(requests)
    pieces: list[bytes] = []
    at = 0
    while at < len(stream):
        pieces.append(stream[at : at + sizes[len(pieces) % len(sizes)]])
        at += len(pieces[-1])
    assert Client().send(*pieces).said == Client().send(stream).said


TOKENS = [
    b"GET ", b"HEAD ", b"POST ", b"/", b"/small.txt", b"/..", b"%2e", b"%", b" HTTP/1.1", b" HTTP/1.0",
    b"\r\n", b"\r\n\r\n", b"\n", b"\r", b"\0", b":", b" ", b"hello", b"5", b"0", b"-1", b"Host: a", b"Host: ",
    b"Content-Length: ", b"Transfer-Encoding: chunked", b"Range: bytes=0-", b"Expect: 100-continue",
    b"Connection: close", get(b"/small.txt"),
]  # fmt: skip
#: What may be said to arbitrary bytes: mostly 4xx, but they may happen to be a request.
ALLOWED = {200, 206, 301, 304, *range(400, 432), 501, 505}


@given(st.lists(st.one_of(st.binary(), st.lists(st.sampled_from(TOKENS)).map(b"".join))), st.booleans())
def test_whatever_arrives_only_clear_answers_come_out(pieces: list[bytes], ends: bool) -> None:
    client = Client().send(*pieces)
    if ends:
        client.end()
    else:
        client.expire()
    interim = client.said.endswith(b"100 Continue\r\n\r\n")
    assert {answer.status for answer in read_answers(b"" if interim else client.said, b"GET")} <= ALLOWED
    assert client.service.closing or ends
    assert client.site.open == []


@given(st.lists(st.binary(min_size=1), min_size=1))
def test_bytes_that_are_no_request_get_a_4xx_a_505_or_silence(pieces: list[bytes]) -> None:
    client = Client().send(*pieces).expire()
    statuses = [answer.status for answer in read_answers(client.said)]
    assert len(statuses) <= 1
    assert all(400 <= status < 500 or status == 505 for status in statuses)  # 505: `! ! HTTP/0.0` has a version


def test_addresses_of_others_are_shown_to_visitors_on_this_machine_only() -> None:
    (near,) = read_answers(Client().send(get(b"/")).said)
    (far,) = read_answers(Client(Visitor(local=False)).send(get(b"/")).said)
    assert b"192.0.2.7" in near.body
    assert b"192.0.2.7" not in far.body
    assert b"Connected: 1" in far.body
