"""What may stand after an option: each spelling is read as what it says, everything else refused.

Round trips over the whole range, refusals from a list of what other parsers let through, and
arbitrary text. Which option takes which kind of value is the table's business.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pync.values import (
    TOS_WORDS,
    format_size,
    parse_count,
    parse_hops,
    parse_keepalive,
    parse_signed_time,
    parse_size,
    parse_text,
    parse_time,
    parse_tos,
)

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "ms": 0.001, "S": 1, "M": 60, "H": 3600, "MS": 0.001, "Ms": 0.001}
BYTES = {"": 1} | {
    letter: 1 << shift for letters, shift in (("kK", 10), ("mM", 20), ("gG", 30), ("tT", 40)) for letter in letters
}
PARSERS: list[Callable[[str], Any]] = [
    parse_time,
    parse_signed_time,
    parse_size,
    parse_count,
    parse_hops,
    parse_tos,
    parse_keepalive,
]

#: What float(), int() and str.isdigit() take for a number, and no person means.
NO_NUMBERS = [
    "", " ", "nan", "NaN", "inf", "-inf", "infinity", "1e5", "1E5", "+1", "1_000", " 5", "5 ", "5\n", "1.2.3", ".",
    "1,000", "٣", "\uff13", "²", "½", "5٣", "abc", "0x", "--5", "5-", "1/2", "k", "ms", "s", "5d", "5kb", "5 s",
    "64\u212a",
]  # fmt: skip


@given(st.integers(1, 10**9), st.sampled_from(sorted(SECONDS)))
def test_a_time_is_its_number_times_its_unit(number: int, unit: str) -> None:
    assert parse_time(f"{number}{unit}") == pytest.approx(number * SECONDS[unit])


@given(st.decimals(min_value="0.001", max_value="1000000", places=3), st.sampled_from(sorted(SECONDS)))
def test_a_time_may_have_a_fraction(number: Any, unit: str) -> None:
    assert parse_time(f"{number}{unit}") == pytest.approx(float(number) * SECONDS[unit])


@pytest.mark.parametrize(
    ("text", "seconds"), [("5", 5), ("2.5", 2.5), ("500ms", 0.5), ("5s", 5), ("1m", 60), ("1h", 3600), (".5", 0.5)]
)
def test_the_times_of_the_manual(text: str, seconds: float) -> None:
    assert parse_time(text) == parse_signed_time(text) == seconds


@pytest.mark.parametrize("text", ["0", "0.0", "0ms", "0h"])
def test_a_limit_of_no_time_is_refused_but_leaving_at_once_is_not(text: str) -> None:
    with pytest.raises(ValueError, match="must be more than 0"):
        parse_time(text)
    assert parse_signed_time(text) == 0.0


@given(st.integers(0, 10**6), st.sampled_from(sorted(SECONDS)))
def test_any_negative_time_means_for_ever(number: int, unit: str) -> None:
    assert parse_signed_time(f"-{number}{unit}") == -1.0
    with pytest.raises(ValueError, match="is no time"):
        parse_time(f"-{number}{unit}")


@given(st.integers(1, 2**40), st.sampled_from(sorted(BYTES)))
def test_a_size_is_its_number_times_its_power_of_1024(number: int, unit: str) -> None:
    assert parse_size(f"{number}{unit}") == number * BYTES[unit]


@pytest.mark.parametrize(
    ("text", "size"),
    [("64k", 65536), ("1M", 1 << 20), ("1G", 1 << 30), ("1.5k", 1536), ("4096", 4096), ("0.5k", 512), ("1.9", 1)],
)
def test_the_sizes_of_the_manual(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["0", "0k", "0.5", "0.0001k"])
def test_a_size_below_one_byte_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="at least 1 byte"):
        parse_size(text)


@given(st.integers(1, 999_999_999))
def test_a_count_is_the_number_it_says(number: int) -> None:
    assert parse_count(str(number)) == number


@given(st.integers(-1000, 1000))
def test_hops_are_1_to_255(number: int) -> None:
    if 1 <= number <= 255:
        assert parse_hops(str(number)) == number
    else:
        with pytest.raises(ValueError, match=f"'{number}' is no hop count"):
            parse_hops(str(number))


@given(st.integers(-1000, 1000))
def test_a_tos_number_is_one_octet_decimal_or_hex(number: int) -> None:
    spellings = [str(number)] if number < 0 else [str(number), hex(number), hex(number).upper().replace("X", "x")]
    for text in spellings:
        if 0 <= number <= 255:
            assert parse_tos(text) == number
        else:
            with pytest.raises(ValueError, match=f"'{text}' is no TOS word"):
                parse_tos(text)


@pytest.mark.parametrize(
    ("word", "octet"),
    [
        ("lowdelay", 0x10), ("throughput", 0x08), ("reliability", 0x04), ("lowcost", 0x02), ("critical", 0xA0),
        ("inetcontrol", 0xC0), ("netcontrol", 0xE0), ("ef", 0xB8), ("cs0", 0x00), ("cs1", 0x20), ("cs7", 0xE0),
        ("af11", 0x28), ("af21", 0x48), ("af43", 0x98), ("EF", 0xB8), ("LowDelay", 0x10),
    ],
)  # fmt: skip
def test_tos_words_have_the_values_of_nc_and_of_the_dscp_rfcs(word: str, octet: int) -> None:
    assert parse_tos(word) == octet


def test_every_tos_word_is_one_octet_whose_two_lowest_bits_are_left_to_ecn() -> None:
    assert len(TOS_WORDS) == 28
    old_names = {"lowcost"}
    assert all(0 <= octet <= 0xFF for octet in TOS_WORDS.values())
    assert {word for word, octet in TOS_WORDS.items() if octet & 3} == old_names


@given(st.integers(1, 32767), st.integers(1, 32767), st.integers(1, 127))
def test_keepalive_is_one_to_three_numbers(idle: int, interval: int, count: int) -> None:
    assert parse_keepalive(f"{idle}") == (idle,)
    assert parse_keepalive(f"{idle}s,{interval}") == (idle, interval)
    assert parse_keepalive(f"{idle},{interval}s,{count}") == (idle, interval, count)


@pytest.mark.parametrize("text", ["1,2,3,4", "1,,3", ",", "60,", "0", "60,0", "60,10,0", "60,10,1.5", "500ms", "60,-1"])
def test_keepalive_of_another_shape_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="'"):
        parse_keepalive(text)


@pytest.mark.parametrize("text", ["1.5", "60,2.5", "1500ms"])
def test_keepalive_times_are_whole_seconds_as_the_system_counts_them(text: str) -> None:
    with pytest.raises(ValueError, match="whole seconds"):
        parse_keepalive(text)


@pytest.mark.parametrize("parse", PARSERS, ids=lambda parse: parse.__name__)
@pytest.mark.parametrize("text", NO_NUMBERS)
def test_what_is_no_number_is_refused_in_words_that_quote_it(parse: Callable[[str], Any], text: str) -> None:
    with pytest.raises(ValueError, match="'") as refused:
        parse(text)
    assert any(f"'{part}'" in str(refused.value) for part in (text, *text.split(",")))


@pytest.mark.parametrize("parse", [parse_time, parse_size, parse_count, parse_hops, parse_keepalive])
@pytest.mark.parametrize("text", ["-1", "-0.5", "-500ms", "-64k", "-0"])
def test_a_negative_value_is_refused(parse: Callable[[str], Any], text: str) -> None:
    with pytest.raises(ValueError, match=f"'{text}'"):
        parse(text)


@pytest.mark.parametrize("parse", PARSERS, ids=lambda parse: parse.__name__)
@given(text=st.text(st.sampled_from("0123456789.,-+exkKmMsShH _\0٣\uff18²\u212a\u017f\ud800"), max_size=10))
def test_arbitrary_text_is_a_finite_number_or_a_value_error(parse: Callable[[str], Any], text: str) -> None:
    try:
        value = parse(text)
    except ValueError:
        return
    numbers = value if isinstance(value, tuple) else (value,)
    assert all(math.isfinite(number) and number >= -1 for number in numbers)
    assert text.isascii()


@pytest.mark.parametrize("parse", PARSERS, ids=lambda parse: parse.__name__)
def test_a_number_of_400_digits_never_becomes_infinity(parse: Callable[[str], Any]) -> None:
    try:
        value = parse("9" * 400)
    except ValueError:
        return
    assert all(math.isfinite(number) for number in (value if isinstance(value, tuple) else (value,)))


@given(st.text(min_size=1))
def test_a_text_is_taken_as_it_is(text: str) -> None:
    assert parse_text(text) == text


def test_an_empty_text_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        parse_text("")


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (65536, "65.5 kB"), (1.9e9, "1.9 GB"), (1e6, "1.0 MB"),
        (5e12, "5.0 TB"), (5e15, "5000.0 TB"),
    ],
)  # fmt: skip
def test_a_byte_count_for_people(count: float, text: str) -> None:
    assert format_size(count) == text


@given(st.floats(0, 1e14))
@example(999.7)
@example(999_960.0)
def test_a_byte_count_for_people_is_right_to_three_figures_and_never_reads_1000(count: float) -> None:
    number, unit = format_size(count).split()
    factor = {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}[unit]
    assert float(number) * factor == pytest.approx(count, abs=0.51 if unit == "B" else 0.051 * factor)
    assert float(number) < 1000
