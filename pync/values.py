"""The values of options: TIME, SIZE, a count, a TOS word.

Here are the parsers from text to number, and the formats from number to text. A parser raises ValueError with a text
that reads well behind "Invalid value for ...:". This file imports nothing, because every start loads it.
"""

from __future__ import annotations

#: Longest suffix first: "ms" would otherwise be read as "s".
TIME_UNITS = (("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0))
SIZE_UNITS = (("k", 2.0**10), ("m", 2.0**20), ("g", 2.0**30), ("t", 2.0**40))

#: IP_TOS / IPV6_TCLASS words: the old TOS names of nc(1), then DSCP (RFC 2474, 2597, 3246).
TOS_WORDS = {
    "lowdelay": 0x10,
    "throughput": 0x08,
    "reliability": 0x04,
    "lowcost": 0x02,
    "inetcontrol": 0xC0,
    "netcontrol": 0xE0,
    "critical": 0xA0,
    "ef": 0xB8,
    **{f"cs{n}": n << 5 for n in range(8)},
    **{f"af{c}{d}": (c << 5) | (d << 3) for c in range(1, 5) for d in range(1, 4)},
}


#: The event loops a server can run on.
LOOPS = ("quick", "asyncio", "uvloop")
#: More digits than any time or size needs, but few enough for a float to hold exactly.
MOST_DIGITS = 15
#: The highest values that Linux accepts for TCP_KEEPIDLE and TCP_KEEPINTVL, and for TCP_KEEPCNT (tcp(7)).
LONGEST_KEEPALIVE, MOST_KEEPALIVE_PROBES = 32767, 127


def _number(text: str) -> float:
    """A plain decimal number: no sign, no exponent, no "inf", no digits of other scripts."""
    digits = text.replace(".", "", 1)
    if not (digits.isascii() and digits.isdigit() and len(digits) <= MOST_DIGITS):
        raise ValueError
    return float(text)


def _in_units(text: str, units: tuple[tuple[str, float], ...]) -> float:
    """A number with at most one suffix, in either case, multiplied by the value of the suffix."""
    if not text.isascii():  # lower() would turn the Kelvin sign into a "k"
        raise ValueError
    lowered = text.lower()
    for suffix, factor in units:
        if lowered.endswith(suffix):
            return _number(lowered[: -len(suffix)]) * factor
    return _number(lowered)


def parse_time(text: str) -> float:
    """Seconds from `5`, `2.5`, `500ms`, `5s`, `1m`, `1h`; more than 0."""
    seconds = _seconds(text)
    if seconds <= 0:
        raise ValueError(f"'{text}' must be more than 0")
    return seconds


def parse_signed_time(text: str) -> float:
    """Seconds, including 0. A negative number means "for ever" and becomes -1.0."""
    seconds = _seconds(text, text.removeprefix("-"))
    return -1.0 if text.startswith("-") else seconds


def _seconds(text: str, unsigned: str | None = None) -> float:
    try:
        return _in_units(text if unsigned is None else unsigned, TIME_UNITS)
    except ValueError:
        raise ValueError(f"'{text}' is no time: write 5, 2.5, 500ms, 5s, 1m or 1h") from None


def parse_size(text: str) -> int:
    """Bytes from `4096`, `64k`, `1M`, `1G` (powers of 1024); at least 1."""
    try:
        size = int(_in_units(text, SIZE_UNITS))
    except ValueError:
        raise ValueError(f"'{text}' is no size: write 4096, 64k, 1M or 1G") from None
    if size < 1:
        raise ValueError(f"'{text}' must be at least 1 byte")
    return size


def parse_count(text: str) -> int:
    """A whole number of at least 1."""
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) > 0):
        raise ValueError(f"'{text}' is no count: write a whole number of at least 1")
    return int(text)


def parse_hops(text: str) -> int:
    """A TTL or hop limit, 1 to 255."""
    if not (text.isascii() and text.isdigit() and len(text) < 4 and 1 <= int(text) <= 255):
        raise ValueError(f"'{text}' is no hop count: write 1 to 255")
    return int(text)


def parse_tos(text: str) -> int:
    """The octet for a TOS or DSCP word, or for a number such as `0x10` or `16`."""
    word = text.lower()
    if word in TOS_WORDS:
        return TOS_WORDS[word]
    try:
        octet = int(word, 16 if word.startswith("0x") else 10) if word.isascii() and word.isalnum() else -1
    except ValueError:
        octet = -1
    if not 0 <= octet <= 255:
        raise ValueError(f"'{text}' is no TOS word: write lowdelay, ef, af21, cs3, ... or 0x00 to 0xff")
    return octet


def parse_keepalive(text: str) -> tuple[float, ...]:
    """IDLE[,INTERVAL[,COUNT]] as a tuple of one to three numbers (seconds, seconds, probes)."""
    words = text.split(",")
    if len(words) > 3:
        raise ValueError(f"'{text}' is no keepalive setting: write IDLE[,INTERVAL[,COUNT]]")
    parsers = (parse_time, parse_time, parse_count)
    limits = (LONGEST_KEEPALIVE, LONGEST_KEEPALIVE, MOST_KEEPALIVE_PROBES)
    numbers = tuple(float(parse(word)) for parse, word in zip(parsers, words, strict=False))
    if any(not (number.is_integer() and 1 <= number <= most) for number, most in zip(numbers, limits, strict=False)):
        raise ValueError(
            f"'{text}': keepalive times are whole seconds from 1 to {LONGEST_KEEPALIVE}, "
            f"and at most {MOST_KEEPALIVE_PROBES} probes"
        )
    return numbers


def parse_text(text: str) -> str:
    """Any text that is not empty."""
    if not text:
        raise ValueError("an empty text is not allowed")
    return text


def parse_loop(text: str) -> str:
    """The name of an event loop."""
    if text not in LOOPS:
        raise ValueError(f"'{text}' is no event loop: write {' or '.join(LOOPS)}")
    return text


def parse_proxy_version(text: str) -> int:
    """The version of a PROXY header."""
    if text not in ("1", "2"):
        raise ValueError(f"'{text}' is no version of the PROXY protocol: write 1 or 2")
    return int(text)


def format_moved(sent: int, received: int, seconds: float) -> str:
    """The bytes and the rate of a session, or of all sessions, as words."""
    speed = format_size((sent + received) / seconds if seconds else 0)
    return f"sent {sent} bytes, received {received} bytes in {seconds:.2f} s ({speed}/s)"


def format_size(count: float) -> str:
    """A byte count for people, in powers of 1000 as disks and links are sold: `1.9 GB`."""
    if count < 999.5:  # rounding must not show 1000
        return f"{count:.0f} B"
    for unit in ("kB", "MB", "GB"):
        count /= 1000
        if count < 999.95:
            return f"{count:.1f} {unit}"
    return f"{count / 1000:.1f} TB"
