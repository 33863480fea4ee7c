"""The quick parser: reads ordinary command lines over the option table, in microseconds.

It accepts or declines, and never complains: whatever it does not fully understand (an unknown
option, a bad value) makes it answer None, and the typer command parses the same words and speaks.
What it accepts equals what typer makes of the words; a test holds that. --help and --version are
declined as well, and found by `asked`.
"""

from __future__ import annotations

from pync.options import ACTION, COUNTED, TABLE, Options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pync.options import Opt

ACTIONS: dict[str, Opt] = {spelling: opt for opt in TABLE if opt.kind is ACTION for spelling in opt.spellings()}
SPELLINGS: dict[str, Opt] = {spelling: opt for opt in TABLE if opt.kind is not ACTION for spelling in opt.spellings()}


class _Declined(Exception):
    pass


class _Asked(_Declined):
    """--help or --version stands in the words."""

    def __init__(self, action: str) -> None:
        super().__init__(action)
        self.action = action


def parse(argv: list[str]) -> Options | None:
    """The options that `argv` (without the program's name) spells, or None: ask typer."""
    options = Options()
    words = iter(argv)
    try:
        for word in words:
            _read(options, word, words)
    except (_Declined, ValueError):
        return None
    return options


def asked(argv: list[str]) -> tuple[str, str | None] | None:
    """Which action the words ask for, "help" or "version", and the word that tells about what.

    None where there is no action, or something in front of it that the quick parser does not understand.
    """
    words = iter(argv)
    options = Options()
    for word in words:
        try:
            _read(options, word, words)
        except _Asked as question:
            _, equals, value = word.partition("=")
            topic = value if equals else next(words, "-")
            known = question.action == "help" or not equals
            return (question.action, None if topic.startswith("-") else topic) if known else None
        except (_Declined, ValueError):
            return None
    return None


def _read(options: Options, word: str, words: Iterator[str]) -> None:
    if word == "--":
        options.words.extend(words)
    elif word.startswith("--"):
        _long(options, word, words)
    elif word.startswith("-") and word != "-":
        _cluster(options, word, words)
    else:
        options.words.append(word)


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
        raise _Asked(ACTIONS[spelling].name) if spelling in ACTIONS else _Declined
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
