"""The typer command, built from the table: errors that name option and value.

Only this file imports typer. It parses the command lines that the quick parser has declined, nearly always
because they contain an error. `cli.help` makes the text of --help.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pync.errors import UsageFault
from pync.options import ACTION, COUNTED, DEFAULTS, FLAG, ROWS, TABLE, Options

if TYPE_CHECKING:
    from collections.abc import Callable

    from pync.options import Opt

#: How similar a name must be to be suggested, by difflib: "prot" and "port" are 0.75.
SIMILAR = 0.7


def parse_with_typer(argv: list[str]) -> Options:
    """The options in the words.

    Raises:
        UsageFault: the words are invalid; the message names the option and the bad value.
    """
    try:
        answer = typer.main.get_command(_app())(argv, prog_name="pync", standalone_mode=False)
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        raise UsageFault(f"{_complaint(error)} (pync --help lists the options)") from None
    assert isinstance(answer, Options)
    return answer


def _complaint(error: Any) -> str:
    """The message of typer in one line, with the nearest names if a long option is unknown."""
    name = getattr(error, "option_name", "")
    if not (hasattr(error, "possibilities") and name.startswith("--")):  # NoSuchOption, of typer's own click
        return _one_line(error.format_message())
    if name[2:].startswith(("ssl", "tls")):
        return f"No such option: {_one_line(name)}; pync does not speak TLS yet"
    *others, last = nearest(name) or [""]
    meant = f"{', '.join(others)} or {last}" if others else last
    return _one_line(f"No such option: {name}") + (f"; did you mean {meant}?" if meant else "")


def nearest(name: str) -> list[str]:
    """The long names that resemble this one or begin with it; at most three, the most similar first."""
    from difflib import SequenceMatcher

    def similarity(spelling: str) -> float:
        begun = spelling[: len(name)]
        return max(SequenceMatcher(None, name[2:], other[2:]).ratio() for other in (spelling, begun))

    names = [spelling for opt in TABLE for spelling in opt.spellings() if spelling.startswith("--")]
    close = [spelling for spelling in names if similarity(spelling) >= SIMILAR]
    return sorted(close, key=similarity, reverse=True)[:3]


def _one_line(text: str) -> str:
    return " ".join(text.split()).rstrip(".")


def _app() -> typer.Typer:
    app = typer.Typer(add_completion=False)
    app.command("pync", add_help_option=False)(_function())
    return app


def _function() -> Callable[..., Options]:
    """A function with the rows of the table as its parameters."""

    def pync(words: list[str], **values: Any) -> Options:
        return Options(list(words), **{name: _given(name, value) for name, value in values.items() if name in DEFAULTS})

    parameters = [_operands(), *(_parameter(opt) for opt in TABLE)]
    pync.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    pync.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return pync


def _given(name: str, value: Any) -> Any:
    """The value of an attribute; for a repeatable option that is missing, typer gives an empty list."""
    return (tuple(value) or None) if ROWS[name].kind.repeats else value


def _operands() -> inspect.Parameter:
    argument = typer.Argument(metavar="[HOST] [PORT]...")
    return _keyword("words", list[str] | None, argument, [])


def _parameter(opt: Opt) -> inspect.Parameter:
    if opt.kind in (FLAG, ACTION):
        return _keyword(opt.attribute, bool, typer.Option(*opt.spellings()), False)
    if opt.kind is COUNTED:
        return _keyword(opt.attribute, int, typer.Option(*opt.spellings(), count=True), 0)
    option = typer.Option(*opt.spellings(), parser=_parser(opt), metavar=opt.kind.metavar)
    if opt.kind.repeats:
        return _keyword(opt.attribute, list[object], option, [])
    return _keyword(opt.attribute, object, option, None)


def _keyword(name: str, kind: Any, info: Any, default: Any) -> inspect.Parameter:
    annotation = Annotated[kind, info]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _parser(opt: Opt) -> Callable[[str], Any]:
    """The parser of the kind, with its error message in the form that typer prints."""
    parse = opt.kind.parse
    assert parse is not None

    def parser(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None

    return parser
