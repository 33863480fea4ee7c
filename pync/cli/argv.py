"""The quick parser: reads ordinary command lines over the option table, in microseconds.

It accepts or declines, and never complains: whatever it does not fully understand (an unknown
option, a bad value, --help) makes it answer None, and the typer command parses the same words
and speaks. What it accepts equals what typer makes of the words; a test holds that.
"""

from __future__ import annotations

from pync.options import ACTION, COUNTED, TABLE, Options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pync.options import Opt

SPELLINGS: dict[str, Opt] = {spelling: opt for opt in TABLE if opt.kind is not ACTION for spelling in opt.spellings()}


class _Declined(Exception):
    pass


def parse(argv: list[str]) -> Options | None:
    """The options that `argv` (without the program's name) spells, or None: ask typer."""
    options = Options()
    words = iter(argv)
    try:
        for word in words:
            if word == "--":
                options.words.extend(words)
            elif word.startswith("--"):
                _long(options, word, words)
            elif word.startswith("-") and word != "-":
                _cluster(options, word, words)
            else:
                options.words.append(word)
    except (_Declined, ValueError):
        return None
    return options


def _long(options: Options, word: str, words: Iterator[str]) -> None:
    name, equals, value = word.partition("=")
    opt = _look_up(name)
    if opt.takes_value:
        _store(options, opt, value if equals else _next(words))
    elif equals:
        raise _Declined
    else:
        _switch(options, opt)


def _cluster(options: Options, word: str, words: Iterator[str]) -> None:
    """`-lvp 10000`: switches until a letter that takes a value; the rest of the word is its value."""
    for position, letter in enumerate(word[1:], 2):
        opt = _look_up(f"-{letter}")
        if opt.takes_value:
            _store(options, opt, word[position:] or _next(words))
            return
        _switch(options, opt)


def _look_up(spelling: str) -> Opt:
    if spelling not in SPELLINGS:
        raise _Declined
    return SPELLINGS[spelling]


def _next(words: Iterator[str]) -> str:
    value = next(words, None)
    if value is None:
        raise _Declined
    return value


def _switch(options: Options, opt: Opt) -> None:
    values = vars(options)
    values[opt.attribute] = values[opt.attribute] + 1 if opt.kind is COUNTED else True


def _store(options: Options, opt: Opt, text: str) -> None:
    assert opt.kind.parse is not None
    value = opt.kind.parse(text)
    values = vars(options)
    values[opt.attribute] = (*(values[opt.attribute] or ()), value) if opt.kind.repeats else value
