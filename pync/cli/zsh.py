"""zsh completion: a file for `fpath`, made of _arguments' specifications (zshcompsys(1)).

`complete` decides what is offered, and `generate` writes the file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pync.cli.complete import (
    COMMANDS,
    DIRECTORIES,
    FILES,
    HELP_TOPICS,
    MODES,
    NOTHING,
    beside,
    fill,
    offer,
    rivals,
    spellings_of,
)
from pync.options import ACTION, COUNTED, ROWS, TABLE

if TYPE_CHECKING:
    from pync.options import Opt

ZSH = r"""#compdef pync
@NOTICE@

_pync_first() {
    if (( @UNIX_GIVEN@ )); then
        _files
    elif (( @PORTS_GIVEN@ )); then
        _pync_service
    else
        _hosts
    fi
}

_pync_service() {
    [[ $PREFIX == [[:alpha:]]* ]] && ! (( @UNIX_GIVEN@ )) && _ports
}

_pync() {
    local context state state_descr line
    local -A opt_args
    _arguments -s -S : \
@SPECS@
        '1:HOST, PORT or PATH:_pync_first' \
        '*:PORT:_pync_service'
}

if [[ $funcstack[1] == _pync ]]; then
    _pync "$@"
else
    compdef _pync pync
fi
"""


def script() -> str:
    """The file for a directory of zsh's `fpath`."""
    return fill(
        ZSH,
        UNIX_GIVEN=_zsh_given("unix"),
        PORTS_GIVEN=_zsh_given("ports"),
        SPECS="\n".join(f"        {_zsh_spec(opt)} \\" for opt in TABLE),
    )


def _zsh_given(attribute: str) -> str:
    return " || ".join(f"${{+opt_args[{spelling}]}}" for spelling in ROWS[attribute].spellings())


#: zsh's action for each offer. A lone blank offers nothing; a leading one keeps zsh from adding arguments.
ZSH_OFFERS = {FILES: "_files", DIRECTORIES: "_path_files -/", COMMANDS: " _command_names -e", NOTHING: " "}


def _zsh_spec(opt: Opt) -> str:
    """The specification of a row: its rivals, spellings, help and value (zshcompsys(1), _arguments)."""
    words = _zsh_words(opt)
    braces = f"{{{','.join(words)}}}" if len(words) > 1 else words[0]
    text = opt.help.replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]")
    return _zsh_quoted(_zsh_excluded(opt)) + braces + _zsh_quoted(f"[{text}]{_zsh_value(opt)}")


def _zsh_words(opt: Opt) -> list[str]:
    """The spellings with marks for their values: `-o+` and `--output=` take them in the same word or the next."""
    if opt.attribute == "help":
        return [f"{word}=" if word.startswith("--") else word for word in opt.spellings()]
    if not opt.takes_value:
        return opt.spellings()
    return [f"{word}=" if word.startswith("--") else f"{word}+" for word in opt.spellings()]


def _zsh_excluded(opt: Opt) -> str:
    if opt.kind is ACTION:
        return "(- *)"
    useless = [other for other in TABLE if other not in beside(opt.attribute)] if opt.attribute in MODES else []
    others = list(dict.fromkeys([*rivals(opt), *useless]))
    excluded = spellings_of(others if opt.kind is COUNTED else [opt, *others])
    mark = "*" if opt.kind is COUNTED else ""
    return (f"({' '.join(excluded)})" if excluded else "") + mark


def _zsh_value(opt: Opt) -> str:
    if opt.attribute == "help":
        return f":GROUP:({' '.join(HELP_TOPICS)})"
    if not opt.takes_value:
        return ""
    words = offer(opt)
    action = ZSH_OFFERS.get(words) or f"({' '.join(words)})"
    return f":{opt.kind.metavar}:{action}"


def _zsh_quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
