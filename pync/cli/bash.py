"""bash completion: the script, and the table's rows in its words.

`complete` decides what is offered, and `generate` writes the file. The script works without the bash-completion
package.
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
    spellings_of,
)
from pync.options import ROWS, TABLE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pync.options import Opt

BASH = r"""# bash completion for pync
@NOTICE@

# Reads the word $1: `option` becomes the option in it that takes a value, `before` what stands in
# front of the value where the word holds that as well, `paths` 1 when the word asks for unix sockets,
# `mode` the mode that it asks for, if other options have no use in that.
_pync_read() {
    local at
    option='' before=''
    case $1 in
        --*=*) option=${1%%=*} before=${1%%=*}= ;;
        @VALUED_NAMES@) option=$1 ;;
        @UNIX_NAMES@) paths=1 ;;
@MODE_NAMES@
        @HELP@) option=--help ;;
        --*) ;;
        -*)
            for ((at = 1; at < ${#1}; at++)); do
                case ${1:at:1} in
                    @UNIX_LETTER@) paths=1 ;;
@MODE_LETTERS@
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

# Offers the options that begin with $1 and are of use in the mode.
_pync_options() {
    case $mode in
@BESIDE@
        *) _pync_offer '' -W '@OPTIONS@' -- "$1" ;;
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
    local word current=${COMP_WORDS[COMP_CWORD]} option='' before='' paths='' mode='' ended='' operands=0 at
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
            _pync_options "$current"
        fi
    elif ((operands > 0)) || [[ $mode == ports ]]; then
        [[ $current == [A-Za-z]* && ! $paths ]] && _pync_offer '' -A service -- "$current"
    elif [[ $paths ]]; then
        _pync_files '' -f "$current"
    else
        _pync_offer '' -A hostname -- "$current"
    fi
}

complete -F _pync pync
"""


def script() -> str:
    """The script to source in bash."""
    valued = [opt for opt in TABLE if opt.takes_value]
    unix = ROWS["unix"]
    return fill(
        BASH,
        VALUED_NAMES=" | ".join(_names(valued)),
        VALUED_LETTERS="".join(opt.short for opt in valued),
        UNIX_NAMES=" | ".join(_names([unix])),
        UNIX_LETTER=unix.short,
        HELP=" | ".join(ROWS["help"].spellings()),
        MODE_NAMES="\n".join(f"        {' | '.join(_names([ROWS[mode]]))}) mode={mode} ;;" for mode in MODES),
        MODE_LETTERS="\n".join(f"{' ' * 20}{ROWS[mode].short}) mode={mode} ;;" for mode in MODES if ROWS[mode].short),
        BESIDE="\n".join(f"        {mode}) {_bash_words(spellings_of(beside(mode)), '$1')} ;;" for mode in MODES),
        VALUES="\n".join(_bash_values(valued)),
        OPTIONS=" ".join(spellings_of(TABLE)),
    )


def _names(opts: Iterable[Opt]) -> list[str]:
    return [spelling for spelling in spellings_of(opts) if spelling.startswith("--")]


def _bash_values(valued: list[Opt]) -> list[str]:
    files = [opt for opt in valued if offer(opt) is FILES]
    lines = [f'        {" | ".join(["redirection", *spellings_of(files)])}) _pync_files "$2" -f "$3" ;;']
    for opt in valued:
        if offer(opt) not in (FILES, NOTHING):
            lines.append(f"        {' | '.join(opt.spellings())}) {_bash_offer(offer(opt))} ;;")
    return [*lines, f"        --help) {_bash_offer(HELP_TOPICS)} ;;"]


def _bash_offer(offered: tuple[str, ...]) -> str:
    if offered is DIRECTORIES:
        return '_pync_files "$2" -d "$3"'
    if offered is COMMANDS:
        return '_pync_commands "$2" "$3"'
    return f'_pync_offer "$2" -W \'{" ".join(offered)}\' -- "$3"'


def _bash_words(words: Iterable[str], typed: str) -> str:
    return f"_pync_offer '' -W '{' '.join(words)}' -- \"{typed}\""
