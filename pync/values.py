"""What may stand after an option: TIME, SIZE, a count, a TOS word.

Here belong the parsers from text to number and back. Each raises ValueError with
a text that reads well behind "Invalid value for ...:". No option is known here,
and nothing is imported: this is on the way of every start.
"""

from __future__ import annotations

#: Longest suffix first: "ms" would otherwise be read as "s".
TIME_UNITS = (("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0))
SIZE_UNITS = (("k", 1 << 10), ("m", 1 << 20), ("g", 1 << 30), ("t", 1 << 40))

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


def _number(text: str) -> float:
    """A plain decimal number: no sign, no exponent, no "inf", no digits of other scripts."""
    digits = text.replace(".", "", 1)
    if not (digits.isascii() and digits.isdigit()):
        raise ValueError
    return float(text)


def parse_time(text: str) -> float:
    """Seconds from `5`, `2.5`, `500ms`, `5s`, `1m`, `1h`; more than nothing."""
    seconds = _seconds(text)
    if seconds <= 0:
        raise ValueError(f"'{text}' must be more than 0")
    return seconds


def parse_signed_time(text: str) -> float:
    """Seconds, 0 allowed; anything negative means "for ever" and becomes -1.0."""
    if text.startswith("-"):
        _seconds(text[1:])
        return -1.0
    return _seconds(text)


def _seconds(text: str) -> float:
    number, factor = text.lower(), 1.0
    for suffix, value in TIME_UNITS:
        if number.endswith(suffix):
            number, factor = number[: -len(suffix)], value
            break
    try:
        return _number(number) * factor
    except ValueError:
        raise ValueError(f"'{text}' is no time: write 5, 2.5, 500ms, 5s, 1m or 1h") from None


def parse_size(text: str) -> int:
    """Bytes from `4096`, `64k`, `1M`, `1G` (powers of 1024); at least 1."""
    number, factor = text.lower(), 1
    for suffix, value in SIZE_UNITS:
        if number.endswith(suffix):
            number, factor = number[:-1], value
            break
    try:
        size = int(_number(number) * factor)
    except (ValueError, OverflowError):
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
        octet = int(word, 16 if word.startswith("0x") else 10) if word.isalnum() else -1
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
    times = tuple(float(parse(word)) for parse, word in zip(parsers, words, strict=False))
    if any(seconds < 1 for seconds in times):
        raise ValueError(f"'{text}': keepalive times are whole seconds, at least 1")
    return times


def parse_text(text: str) -> str:
    """Any text that is not empty."""
    if not text:
        raise ValueError("an empty text is not allowed")
    return text


def format_size(count: float) -> str:
    """A byte count for people, in powers of 1000 as disks and links are sold: `1.9 GB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
