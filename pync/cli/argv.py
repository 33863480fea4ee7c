"""The quick parser: reads ordinary command lines over the option table, in microseconds.

It accepts or declines. For words that it does not fully understand (an unknown option, a bad value) it
returns None; then the typer command parses the same words and reports the error. A test checks that both
parsers give the same options. --help and --version are declined as well; `asked` finds them.
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
    """The words contain --help or --version."""

    def __init__(self, action: str) -> None:
        super().__init__(action)
        self.action = action


def parse(argv: list[str]) -> Options | None:
    """The options in `argv` (without the name of the program); None if typer must parse it."""
    options = Options()
    words = iter(argv)
    try:
        for word in words:
            _read(options, word, words)
    except (_Declined, ValueError):
        return None
    return options


def asked(argv: list[str]) -> tuple[str, str | None] | None:
    """The action that the words ask for, "help" or "version", with the topic of the help.

    None if there is no action, or if the quick parser does not understand a word in front of it.
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
    """Parse a word such as `-lvp`: switches up to a letter that takes a value (the rest, or the next word)."""
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
