"""The built-in services without a socket: what is said when, however the input is cut.

`Client` does what an engine does with a service, step for step. Real connections are in
cli/test_services, datagrams in serving/test_udp_services.
"""

from __future__ import annotations

import itertools
import sys
import tracemalloc
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pync.options import BUILT_IN
from pync.wire.services import (
    ANSWERS,
    LONGEST_MESSAGE,
    MOST_CHARACTERS,
    SERVICES,
    Chargen,
    Daytime,
    Discard,
    Echo,
    Hello,
    Service,
    Time,
    Upper,
    service,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

#: 2026-11-20 09:30:05 UTC, a Friday.
A_FRIDAY = 1795167005.75
#: The largest feed that an engine gives.
READ = 1 << 16


class Client:
    """Somebody who talks to a service the way an engine lets him."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.largest = 0  # of the answers that were given at a time
        self.greeting = self._all(service.greet())

    def say(self, data: bytes) -> bytes:
        """Everything that is answered to some bytes."""
        return b"" if self.service.closing else self._all(self.service.feed(data))

    def pause(self) -> bytes:
        return b"" if self.service.closing else self._all(self.service.lull())

    def hang_up(self) -> bytes:
        return b"" if self.service.closing else self._all(self.service.end())

    def _all(self, answer: object) -> bytes:
        said = b""
        while answer:
            assert isinstance(answer, bytes)
            self.largest = max(self.largest, len(answer))
            said += answer
            answer = b"" if self.service.closing else self.service.more()
        return said


def conversation(service: Service, pieces: Iterable[bytes]) -> bytes:
    """All that is said to a client who says these pieces and ends."""
    client = Client(service)
    return client.greeting + b"".join([client.say(piece) for piece in pieces]) + client.hang_up()


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    """The data in pieces, cut at these places where it has them."""
    borders = [0, *sorted({place for place in places if 0 < place < len(data)}), len(data)]
    return [data[begin:end] for begin, end in itertools.pairwise(borders)]


CUTS = st.lists(st.integers(0, 200), max_size=8)
#: Input with what matters to somebody here in it: ends of lines, exit, characters of several bytes, stray bytes.
WORDS = st.sampled_from(
    [b"\n", b"\r\n", b"\r", b"exit", b"Michael", "grüße ß ŉ".encode(), b"\xff", b"\xe2\x82", b"\x00"]
)
TALK = st.lists(WORDS | st.binary(max_size=20), max_size=12).map(b"".join)


# --- all of them


@given(TALK, CUTS)
@example("ß".encode(), [1])
@example(b"Michael\r\n", [8])
@pytest.mark.parametrize("kind", [Echo, Discard, Upper, Hello], ids=lambda kind: kind.__name__)
def test_any_cut_of_the_input_gives_the_same_bytes(kind: type[Service], data: bytes, places: list[int]) -> None:
    assert conversation(kind(), cut(data, places)) == conversation(kind(), [data])


@pytest.mark.parametrize("name", [name for name in BUILT_IN if not name.startswith("http")])
def test_each_option_has_its_service_and_each_client_its_own(name: str) -> None:
    make = service(name, lambda: A_FRIDAY)
    first, second = make(), make()
    assert type(first) is type(second) is SERVICES[name]
    assert first is not second


def test_a_service_left_alone_says_nothing_and_ends_when_its_time_is_over() -> None:
    bare = Service()
    assert (bare.greet(), bare.feed(b"x"), bare.more(), bare.lull(), bare.end()) == (b"",) * 5
    assert bare.datagram(b"x") is None
    assert not bare.closing
    assert bare.expire() == b""
    assert bare.closing


# --- echo, discard


def test_echo_hands_back_the_very_bytes_it_was_given() -> None:
    data = bytes(range(256))
    assert Echo().feed(data) is data
    assert Echo().datagram(data) is data


def test_discard_answers_neither_a_stream_nor_a_datagram() -> None:
    assert conversation(Discard(), [b"x" * READ, b"exit\n"]) == b""
    assert Discard().datagram(b"x") is None


# --- upper


@given(st.text())
def test_upper_gives_the_text_in_capitals(text: str) -> None:
    data = text.encode()
    assert conversation(Upper(), [data]) == text.upper().encode()
    assert Upper().datagram(data) == text.upper().encode()


def character_at(data: bytes, begin: int) -> bytes:
    """The UTF-8 character that begins there, or the one byte that belongs to none."""
    for end in range(begin + 1, begin + 5):
        try:
            data[begin:end].decode()
        except UnicodeDecodeError:
            continue
        return data[begin:end]
    return data[begin : begin + 1]


@given(st.lists(WORDS | st.binary(max_size=6)).map(b"".join))
def test_what_is_no_utf8_passes_unchanged(data: bytes) -> None:
    capitals, place = b"", 0
    while place < len(data):
        character = character_at(data, place)
        place += len(character)
        text = character.decode(errors="ignore")
        capitals += text.upper().encode() if text else character
    assert conversation(Upper(), [data]) == capitals
    assert Upper().datagram(data) == capitals


@pytest.mark.parametrize("data", [b"\xff\xfe", b"\xe2\x82", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf4\x90\x80\x80"])
def test_bytes_that_are_no_character_stand_between_those_that_are(data: bytes) -> None:
    assert conversation(Upper(), [b"a" + data + b"z"]) == b"A" + data + b"Z"
    assert Upper().datagram(data) == data


def test_a_character_cut_in_two_is_answered_when_it_is_whole() -> None:
    client = Client(Upper())
    assert client.say(b"a\xc3") == b"A"
    assert client.say(b"\xbc") == "Ü".encode()


def test_half_a_character_at_the_end_is_given_back() -> None:
    client = Client(Upper())
    assert client.say(b"a\xc3") == b"A"
    assert client.hang_up() == b"\xc3"


# --- hello

NAMES = st.binary(max_size=40).map(lambda name: name.replace(b"\n", b"")).filter(lambda name: not name.endswith(b"\r"))


def test_the_conversation_of_the_tutorial() -> None:
    client = Client(Hello())
    assert client.greeting == b"Welcome!"
    for name in (b"Michael", b"Tracy", b"Sarah"):
        assert client.say(name) == b""  # not before it has stayed alone
        assert client.pause() == b"Hello, %b!" % name
    assert client.say(b"exit") == b""
    assert not client.service.closing
    assert client.pause() == b""
    assert client.service.closing


@given(st.lists(st.tuples(NAMES.filter(lambda name: name != b"exit"), st.sampled_from([b"\n", b"\r\n"]))))
def test_each_line_is_greeted_and_the_answer_ends_as_the_line_did(lines: list[tuple[bytes, bytes]]) -> None:
    said = b"".join(name + end for name, end in lines)
    greeted = b"".join(b"Hello, " + name + b"!" + end for name, end in lines)
    assert conversation(Hello(), [said]) == b"Welcome!" + greeted


@given(st.lists(st.sampled_from([b"\n", b"Mi", b"chael", b"ex", b"\r\n", b"\nTracy\nSa"])))
def test_a_line_is_answered_as_soon_as_it_has_ended(pieces: list[bytes]) -> None:
    client = Client(Hello())
    heard = answered = 0
    for piece in pieces:
        heard += piece.count(b"\n")
        answered += client.say(piece).count(b"Hello, ")
        assert answered == heard


@given(NAMES.filter(lambda name: name not in (b"", b"exit")))
def test_an_unfinished_message_is_one_when_it_stays_alone_and_when_it_is_the_last(name: bytes) -> None:
    client = Client(Hello())
    assert client.say(name) == b""
    assert client.pause() == b"Hello, " + name + b"!"
    assert client.say(name) == b""
    assert client.hang_up() == b"Hello, " + name + b"!"


def test_a_pause_or_an_end_with_nothing_said_is_no_message() -> None:
    client = Client(Hello())
    assert client.pause() == b""
    assert client.say(b"Michael\n") == b"Hello, Michael!\n"
    assert client.pause() == b""
    assert client.hang_up() == b""


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@given(data=st.data())
def test_a_line_held_up_anywhere_is_answered_as_if_it_had_not(end: bytes, data: st.DataObject) -> None:
    name = data.draw(st.binary(min_size=1, max_size=9).map(lambda name: name.replace(b"\n", b"n").replace(b"\r", b"r")))
    place = data.draw(st.integers(len(name), len(name) + len(end)))
    held_up, prompt = Client(Hello()), Client(Hello())
    line = name + end
    said = held_up.say(line[:place]) + held_up.pause() + held_up.say(line[place:])
    assert said + held_up.say(b"Tracy\n") == prompt.say(line) + prompt.say(b"Tracy\n")


def test_exit_closes_and_what_comes_behind_it_is_not_answered() -> None:
    client = Client(Hello())
    assert client.say(b"Michael\nexit\nTracy\n") == b"Hello, Michael!\n"
    assert client.service.closing


@pytest.mark.parametrize("name", [b"exit ", b"EXIT", b"exits", b"\x00exit", b" "])
def test_only_exit_is_exit(name: bytes) -> None:
    client = Client(Hello())
    assert client.say(name + b"\n") == b"Hello, " + name + b"!\n"
    assert not client.service.closing


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b""])
@pytest.mark.parametrize("step", [1, 7777, READ])
def test_a_message_of_64_kib_is_greeted(step: int, end: bytes) -> None:
    name = b"x" * LONGEST_MESSAGE
    said = conversation(Hello(), cut(name + end, range(0, len(name) + 2, step)))
    assert said == b"Welcome!Hello, " + name + b"!" + end


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"", b"\r", b"x" * READ])
@pytest.mark.parametrize("step", [1, 7777, READ])
def test_a_longer_one_is_an_error_and_the_end(step: int, end: bytes) -> None:
    line = b"Michael\n" + b"x" * (LONGEST_MESSAGE + 1) + end
    hello = Hello()
    said = conversation(hello, cut(line, range(0, len(line), step)))
    assert said == b"Welcome!Hello, Michael!\nError: a message of more than 65536 bytes\n"
    assert hello.closing


@pytest.mark.parametrize("step", [1, READ + 9])
def test_a_carriage_return_within_a_message_counts(step: int) -> None:
    line = b"x" * LONGEST_MESSAGE + b"\rx\n"
    hello = Hello()
    assert conversation(hello, cut(line, range(0, len(line), step))).endswith(b"of more than 65536 bytes\n")
    assert hello.closing


def test_a_line_that_never_ends_is_not_waited_for() -> None:
    client = Client(Hello())
    fed = 0
    while not client.service.closing:
        client.say(b"x" * 1000)
        fed += 1000
    assert fed <= LONGEST_MESSAGE + 2000


@pytest.mark.parametrize(
    "data", [b"\n" * READ, b"ab\n" * (READ // 3), b"x" * (READ - 1) + b"\n"], ids=["1", "3", "64k"]
)
def test_answers_come_a_bounded_part_at_a_time_and_all_of_them(data: bytes) -> None:
    client = Client(Hello())
    said = client.say(data) + client.say(data)
    assert said == b"".join(b"Hello, %b!\n" % line for line in (data * 2).split(b"\n")[:-1])
    assert client.largest <= ANSWERS + LONGEST_MESSAGE + 10


def test_a_pause_before_all_lines_were_answered_still_makes_a_message_of_the_rest() -> None:
    hello = Hello()
    first = hello.feed(b"\n" * READ + b"Michael")
    assert len(first) < 9 * READ  # there is more to say
    answers = [first, hello.lull()]
    while answers[-1]:
        answers.append(hello.more())
    assert b"".join(answers) == b"Hello, !\n" * READ + b"Hello, Michael!"


def test_a_client_who_talks_for_ever_leaves_nothing_behind() -> None:
    client = Client(Hello())
    client.say(b"Michael\n" * 1000)
    tracemalloc.start()
    try:
        for _ in range(100):
            client.say(b"Michael\nTra")
            client.pause()
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 4096


def test_a_datagram_is_a_message_of_its_own() -> None:
    hello = Hello()
    for data, answer in {
        b"Michael": b"Hello, Michael!",
        b"Michael\n": b"Hello, Michael!\n",
        b"Michael\r\n": b"Hello, Michael!\r\n",
        b"": b"Hello, !",
        b"exit": b"Hello, exit!",
    }.items():
        assert hello.datagram(data) == answer
    assert not hello.closing


# --- chargen


def test_chargen_turns_through_the_printable_characters_without_end() -> None:
    chargen = Chargen()
    assert chargen.greet() == b""
    stream = b""
    while len(stream) < 3 * 95 * 74:
        piece = chargen.more()
        assert isinstance(piece, bytes)
        stream += piece
    ring = bytes(range(32, 127))
    for number, line in enumerate(stream.split(b"\r\n")[:-1]):
        first = number % 95
        assert line == (ring + ring)[first : first + 72]


def test_chargen_throws_away_what_it_hears_and_its_clients_leave_when_they_please() -> None:
    assert Chargen().feed(b"x" * READ) == b""
    assert Chargen().endless


def test_all_clients_of_chargen_share_the_bytes() -> None:
    assert Chargen().more() is Chargen().more()


@given(st.lists(st.integers(0, 70000), min_size=1, max_size=100))
def test_a_datagram_of_chargen_has_at_most_512_characters_and_is_no_weapon(sizes: list[int]) -> None:
    chargen = Chargen()
    for number, size in enumerate(sizes):
        answer = chargen.datagram(bytes(size))
        assert 0 < len(answer) <= MOST_CHARACTERS
        assert len(answer) <= max(size, 74)
        assert answer[0] == 32 + number % 95


# --- daytime, time


def test_daytime_tells_a_line_and_closes() -> None:
    client = Client(Daytime(lambda: A_FRIDAY))
    assert client.greeting == b"Friday, November 20, 2026 09:30:05-UTC\r\n"
    assert client.service.closing


def test_time_tells_four_bytes_and_closes() -> None:
    client = Client(Time(lambda: A_FRIDAY))
    assert client.greeting == int(A_FRIDAY + 2208988800).to_bytes(4, "big")
    assert client.service.closing


@pytest.mark.parametrize(
    ("seconds", "told"),
    # The examples of RFC 868.
    [(2398291200, 1976), (2524521600, 1980), (2629584000, 1983)],
)
def test_time_agrees_with_its_rfc(seconds: int, told: int) -> None:
    import datetime

    month_and_day = {1976: (1, 1), 1980: (1, 1), 1983: (5, 1)}[told]
    clock = datetime.datetime(told, *month_and_day, tzinfo=datetime.timezone.utc).timestamp()
    assert int.from_bytes(Time(lambda: clock).announce(), "big") == seconds


def test_time_begins_anew_after_its_last_second() -> None:
    last = (1 << 32) - 1 - 2208988800
    assert Time(lambda: last).announce() == b"\xff\xff\xff\xff"
    assert Time(lambda: last + 1).announce() == bytes(4)


@pytest.mark.parametrize("kind", [Daytime, Time])
def test_any_datagram_is_answered_with_the_present_time(kind: type[Daytime | Time]) -> None:
    now = [A_FRIDAY]
    service = kind(lambda: now[0])
    first = service.datagram(b"")
    now[0] += 1
    assert service.datagram(b"anything") != first
    assert not service.closing


def test_an_echo_client_costs_next_to_nothing() -> None:
    assert sys.getsizeof(Echo()) < 100
    assert not vars(Echo())
