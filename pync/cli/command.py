"""The typer command, built from the table: help in groups, errors that name option and value.

The only place that imports typer. It is reached for --help and --version, and for command lines
that the quick parser declined, nearly always because there is something to complain about.
"""

from __future__ import annotations

import contextlib
import inspect
import io
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pync import __version__
from pync.errors import UsageFault
from pync.options import ACTION, COUNTED, DEFAULTS, FLAG, ROWS, TABLE, Options

if TYPE_CHECKING:
    from collections.abc import Callable

    from pync.options import Opt

SUMMARY = "Join stdin and stdout to a TCP, UDP or unix-domain socket."
USAGE = """pync [OPTIONS] HOST PORT... connects; pync -l [OPTIONS] [HOST] PORT listens.

HOST is a name, an IPv4 or an IPv6 address; PORT is a number, a range, a list or a service name;
HOST:PORT in one word will do. TIME is 5, 2.5, 500ms, 5s, 1m or 1h; SIZE is 4096, 64k, 1M or 1G."""


class Page(io.StringIO):
    """Takes what --help and --version print, coloured where it will end up on a terminal."""

    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


def parse_with_typer(argv: list[str], *, terminal: bool = False) -> Options | str:
    """The options that the words spell; or the text to print, when --help or --version answers.

    Raises:
        UsageFault: the words make no sense; the text names the option and the bad value.
    """
    page = Page(terminal)
    try:
        with contextlib.redirect_stdout(page):
            answer = typer.main.get_command(_app())(argv, prog_name="pync", standalone_mode=False)
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        raise UsageFault(f"{_one_line(error.format_message())} (pync --help lists the options)") from None
    return answer if isinstance(answer, Options) else page.getvalue()


def _one_line(text: str) -> str:
    return " ".join(text.split()).rstrip(".")


def _app() -> typer.Typer:
    app = typer.Typer(add_completion=False, rich_markup_mode="rich")
    text = f"{SUMMARY}\n\n{USAGE}".replace("[", r"\[")
    app.command("pync", help=text, add_help_option=False)(_function())
    return app


def _function() -> Callable[..., Options]:
    """The function whose parameters are the rows of the table."""

    def pync(words: list[str], **values: Any) -> Options:
        return Options(list(words), **{name: _given(name, value) for name, value in values.items() if name in DEFAULTS})

    parameters = [_operands(), *(_parameter(opt) for opt in TABLE)]
    pync.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    pync.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return pync


def _given(name: str, value: Any) -> Any:
    """What the attribute holds; typer gives an empty list for what may be repeated and was not given."""
    return (tuple(value) or None) if ROWS[name].kind.repeats else value


def _operands() -> inspect.Parameter:
    argument = typer.Argument(metavar="[HOST] [PORT]...", show_default=False, hidden=True)
    return _keyword("words", list[str] | None, argument, [])


def _parameter(opt: Opt) -> inspect.Parameter:
    columns: dict[str, Any] = {
        "help": opt.help.replace("[", r"\["),
        "rich_help_panel": opt.group,
        "show_default": False,
    }
    if opt.kind is ACTION:
        columns |= {"callback": ACTIONS[opt.name], "is_eager": True}
        return _keyword(opt.attribute, bool, typer.Option(*opt.spellings(), **columns), False)
    if opt.kind is FLAG:
        return _keyword(opt.attribute, bool, typer.Option(*opt.spellings(), **columns), False)
    if opt.kind is COUNTED:
        return _keyword(opt.attribute, int, typer.Option(*opt.spellings(), count=True, metavar="", **columns), 0)
    option = typer.Option(*opt.spellings(), parser=_parser(opt), metavar=opt.kind.metavar, **columns)
    if opt.kind.repeats:
        return _keyword(opt.attribute, list[object], option, [])
    return _keyword(opt.attribute, object, option, None)


def _keyword(name: str, kind: Any, info: Any, default: Any) -> inspect.Parameter:
    annotation = Annotated[kind, info]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _parser(opt: Opt) -> Callable[[str], Any]:
    """The kind's own parser; its words instead of the bare value when it refuses."""
    parse = opt.kind.parse
    assert parse is not None

    def parser(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None

    return parser


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"pync {__version__}")
        raise typer.Exit


def _show_help(context: typer.Context, wanted: bool) -> None:
    if wanted:
        typer.echo(context.get_help(), nl=False)
        raise typer.Exit


#: What the options do that are answered at once.
ACTIONS: dict[str, Callable[..., None]] = {"version": _show_version, "help": _show_help}
