"""Completions for bash, zsh and fish, derived from the table.

What may follow an option is decided once, in `offer()`; each shell has a template that holds its
own words for it. Nothing is written to disk here: that is `generate`.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from pync.options import ACTION, COMMAND, COUNTED, DIRECTORY, ROWS, TABLE, Opt
from pync.values import LOOPS, TOS_WORDS

if TYPE_CHECKING:
    from collections.abc import Iterable

NOTICE = "# Made from the table in pync/options.py by `python -m pync.cli.generate`: do not edit."

#: What to offer where a value cannot be guessed, and where the shell knows what there is of it.
NOTHING: tuple[str, ...] = ()
FILES: tuple[str, ...] = ("FILES",)
DIRECTORIES: tuple[str, ...] = ("DIRECTORIES",)
COMMANDS: tuple[str, ...] = ("COMMANDS",)

#: The kinds of values that are more than the name of a file.
KINDS = {DIRECTORY: DIRECTORIES, COMMAND: COMMANDS}

#: The rows whose values can be listed. hashlib's guaranteed names are the same in every Python.
WORDS = {
    "tos": tuple(TOS_WORDS),
    "loop": LOOPS,
    "hash": tuple(sorted(name for name in hashlib.algorithms_guaranteed if not name.startswith("shake_"))),
}


def offer(opt: Opt) -> tuple[str, ...]:
    """What may follow an option that takes a value: FILES, DIRECTORIES, COMMANDS, NOTHING or a list of words."""
    if opt.kind in KINDS:
        return KINDS[opt.kind]
    return FILES if opt.kind.names_file else WORDS.get(opt.attribute, NOTHING)


def rivals(opt: Opt) -> list[Opt]:
    """The rows that do not go with this one, whichever of the two says so."""
    return [other for other in TABLE if other.attribute in opt.excludes or opt.attribute in other.excludes]


def _spellings(opts: Iterable[Opt]) -> list[str]:
    return [spelling for opt in opts for spelling in opt.spellings()]


def _fill(template: str, **parts: str) -> str:
    """Put the parts at their `@NAME@`; the braces and dollars are the shell's."""
    for name, part in {"NOTICE": NOTICE, **parts}.items():
        template = template.replace(f"@{name}@", part)
    return template


# --- bash

BASH = r"""# bash completion for pync
@NOTICE@

# Reads the word $1: `option` becomes the option in it that takes a value, `before` what stands in
# front of the value where the word holds that as well, `paths` 1 when the word asks for unix sockets.
_pync_read() {
    local at
    option='' before=''
    case $1 in
        --*=*) option=${1%%=*} before=${1%%=*}= ;;
        @VALUED_NAMES@) option=$1 ;;
        @UNIX_NAMES@) paths=1 ;;
        --*) ;;
        -*)
            for ((at = 1; at < ${#1}; at++)); do
                case ${1:at:1} in
                    @UNIX_LETTER@) paths=1 ;;
                    [@VALUED_LETTERS@])
                        option=-${1:at:1}
                        ((at + 1 < ${#1})) && before=${1:0:at+1}
                        return 0
                        ;;
                esac
            done
            ;;
    esac
}

# Offers what compgen makes of the arguments from $2 on, each with $1 in front.
_pync_offer() {
    local found before=$1
    shift
    while IFS= read -r found; do
        COMPREPLY+=("$before$found")
    done < <(compgen "$@")
}

# Offers the files ($2 is -f) or directories (-d) that begin with $3, each with $1 in front.
_pync_files() {
    compopt -o filenames 2>/dev/null # outside of a completion, and in bash 3, there is none
    _pync_offer "$1" "$2" -- "$3"
}

# Offers the programs that begin with $2, each with $1 in front: nothing that only the shell knows.
_pync_commands() {
    local found
    [[ $2 == */* ]] && compopt -o filenames 2>/dev/null
    while IFS= read -r found; do
        if [[ $2 == */* && -d $found ]] || type -P -- "$found" >/dev/null; then
            COMPREPLY+=("$1$found")
        fi
    done < <(compgen -c -- "$2")
}

# Offers the values of the option $1 that begin with $3, each with $2 in front.
_pync_value() {
    case $1 in
@VALUES@
    esac
}

# Whether $1 redirects: the file behind it is the shell's business, not ours.
_pync_redirects() {
    case $1 in
        [\<\>]* | [0-9][\<\>]* | \&\>*) return 0 ;;
    esac
    return 1
}

_pync() {
    local word current=${COMP_WORDS[COMP_CWORD]} option='' before='' paths='' ended='' operands=0 at
    local IFS=$' \t\n'
    COMPREPLY=()
    for ((at = 1; at < COMP_CWORD; at++)); do
        word=${COMP_WORDS[at]}
        if [[ $option == --* && $word == = ]]; then
            continue # readline has cut `--output=FILE` into three words
        elif [[ $option ]]; then
            option=''
        elif _pync_redirects "$word"; then
            option=redirection
        elif [[ $ended || $word != -?* ]]; then
            ((operands++))
        elif [[ $word == -- ]]; then
            ended=1
        else
            _pync_read "$word"
            [[ $before ]] && option=''
        fi
    done

    if [[ $option ]]; then
        [[ $option == --* && $current == = ]] && current=''
        _pync_value "$option" '' "$current"
    elif [[ ! $ended && $current == -* ]]; then
        _pync_read "$current"
        if [[ $before ]]; then
            _pync_value "$option" "$before" "${current#"$before"}"
        else
            _pync_offer '' -W '@OPTIONS@' -- "$current"
        fi
    elif ((operands == 0)); then
        if [[ $paths ]]; then
            _pync_files '' -f "$current"
        else
            _pync_offer '' -A hostname -- "$current"
        fi
    fi
}

complete -F _pync pync
"""


def bash() -> str:
    """What to source in bash; it needs nothing of the bash-completion package."""
    valued = [opt for opt in TABLE if opt.takes_value]
    unix = ROWS["unix"]
    return _fill(
        BASH,
        VALUED_NAMES=" | ".join(_names(valued)),
        VALUED_LETTERS="".join(opt.short for opt in valued),
        UNIX_NAMES=" | ".join(_names([unix])),
        UNIX_LETTER=unix.short,
        VALUES="\n".join(_bash_values(valued)),
        OPTIONS=" ".join(_spellings(TABLE)),
    )


def _names(opts: Iterable[Opt]) -> list[str]:
    return [spelling for spelling in _spellings(opts) if spelling.startswith("--")]


def _bash_values(valued: list[Opt]) -> list[str]:
    files = [opt for opt in valued if offer(opt) is FILES]
    lines = [f'        {" | ".join(["redirection", *_spellings(files)])}) _pync_files "$2" -f "$3" ;;']
    for opt in valued:
        if offer(opt) not in (FILES, NOTHING):
            lines.append(f"        {' | '.join(opt.spellings())}) {_bash_offer(offer(opt))} ;;")
    return lines


def _bash_offer(offered: tuple[str, ...]) -> str:
    if offered is DIRECTORIES:
        return '_pync_files "$2" -d "$3"'
    if offered is COMMANDS:
        return '_pync_commands "$2" "$3"'
    return f'_pync_offer "$2" -W \'{" ".join(offered)}\' -- "$3"'


# --- zsh

ZSH = r"""#compdef pync
@NOTICE@

_pync_first() {
    if (( @UNIX_GIVEN@ )); then
        _files
    else
        _hosts
    fi
}

_pync() {
    local context state state_descr line
    local -A opt_args
    _arguments -s -S : \
@SPECS@
        '1:HOST, PORT or PATH:_pync_first' \
        '*:PORT: '
}

if [[ $funcstack[1] == _pync ]]; then
    _pync "$@"
else
    compdef _pync pync
fi
"""


def zsh() -> str:
    """A file for a directory of zsh's `fpath`."""
    return _fill(
        ZSH,
        UNIX_GIVEN=" || ".join(f"${{+opt_args[{spelling}]}}" for spelling in ROWS["unix"].spellings()),
        SPECS="\n".join(f"        {_zsh_spec(opt)} \\" for opt in TABLE),
    )


#: What zsh has for each. A blank alone offers nothing; one in front keeps zsh from putting words behind the first.
ZSH_OFFERS = {FILES: "_files", DIRECTORIES: "_path_files -/", COMMANDS: " _command_names -e", NOTHING: " "}


def _zsh_spec(opt: Opt) -> str:
    """What the row rules out, its spellings, its help, its value (zshcompsys(1), _arguments)."""
    words = _zsh_words(opt)
    braces = f"{{{','.join(words)}}}" if len(words) > 1 else words[0]
    text = opt.help.replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]")
    return _zsh_quoted(_zsh_excluded(opt)) + braces + _zsh_quoted(f"[{text}]{_zsh_value(opt)}")


def _zsh_words(opt: Opt) -> list[str]:
    """The spellings, marked with where a value may stand: `-o+` both ways, `--output=` too."""
    if not opt.takes_value:
        return opt.spellings()
    return [f"{word}=" if word.startswith("--") else f"{word}+" for word in opt.spellings()]


def _zsh_excluded(opt: Opt) -> str:
    if opt.kind is ACTION:
        return "(- *)"
    excluded = _spellings(rivals(opt) if opt.kind is COUNTED else [opt, *rivals(opt)])
    mark = "*" if opt.kind is COUNTED else ""
    return (f"({' '.join(excluded)})" if excluded else "") + mark


def _zsh_value(opt: Opt) -> str:
    if not opt.takes_value:
        return ""
    words = offer(opt)
    action = ZSH_OFFERS.get(words) or f"({' '.join(words)})"
    return f":{opt.kind.metavar}:{action}"


def _zsh_quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


# --- fish

FISH = r"""# fish completion for pync
@NOTICE@

# Whether the first operand stands at the cursor, and is of the kind $argv[1]: a host or, with unix sockets, a path.
function __pync_first
    set -l wanted $argv[1]
    set -l kind host
    set -l words (commandline -opc)
    set -e words[1]
    argparse @SPECS@ -- $words 2>/dev/null
    or return
    if @UNIX_GIVEN@
        set kind path
    end
    test (count $argv) -eq 0 -a $kind = $wanted
end

# What is typed of a value, whether in the word of its option or in its own.
function __pync_typed
    commandline -ct | string replace -r '^--[^=]*=' ''
end

function __pync_directories
    __fish_complete_directories (__pync_typed)
end

# The programs, and directories on the way to one: nothing that only the shell knows.
function __pync_commands
    set -l typed (__pync_typed)
    for found in (complete -C "$typed")
        set -l word (string split -m 1 \t -- $found)[1]
        if command -q -- $word; or string match -q '*/' -- $word
            echo $word
        end
    end
end

complete -c pync -f
complete -c pync -n '__pync_first host' -a '(__fish_print_hostnames)'
complete -c pync -n '__pync_first path' -F
@ROWS@
"""


def fish() -> str:
    """A file for one of fish's completion directories."""
    return _fill(
        FISH,
        SPECS=" ".join(spec for opt in TABLE for spec in _fish_specs(opt)),
        UNIX_GIVEN="; or ".join(f"set -q _flag_{name}" for name in _long_names(ROWS["unix"])),
        ROWS="\n".join(_fish_row(opt) for opt in TABLE),
    )


def _long_names(opt: Opt) -> list[str]:
    return [opt.name, *opt.aliases]


def _fish_specs(opt: Opt) -> list[str]:
    """The row for fish's argparse: `o/output=`, `k/keep-open`; `+` lets it come more than once."""
    first, *others = _long_names(opt)
    letter = f"{opt.short}/" if opt.short else ""
    value = "=+" if opt.takes_value else ""
    return [f"{letter}{first}{value}", *(f"{name}{value}" for name in others)]


#: What stands for each in a row: -r wants a value, -F lets it be a file, -x is for one that is none.
FISH_OFFERS = {
    FILES: " -r -F",
    DIRECTORIES: " -x -a '(__pync_directories)'",
    COMMANDS: " -x -a '(__pync_commands)'",
    NOTHING: " -x",
}


def _fish_row(opt: Opt) -> str:
    letter = f" -s {opt.short}" if opt.short else ""
    names = "".join(f" -l {name}" for name in _long_names(opt))
    return f"complete -c pync{letter}{names}{_fish_value(opt)} -d {_fish_quoted(opt.help)}"


def _fish_value(opt: Opt) -> str:
    if not opt.takes_value:
        return ""
    words = offer(opt)
    return FISH_OFFERS.get(words) or f" -x -a {_fish_quoted(' '.join(words))}"


def _fish_quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
