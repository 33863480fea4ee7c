"""fish completion: one `complete` line for each row, and functions that read the words before the cursor.

`complete` decides what is offered, and `generate` writes the file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pync.cli.complete import COMMANDS, DIRECTORIES, FILES, HELP_TOPICS, MODES, NOTHING, beside, fill, offer
from pync.options import ROWS, TABLE

if TYPE_CHECKING:
    from pync.options import Opt

FISH = r"""# fish completion for pync
@NOTICE@

# What stands at the cursor, if it is no option: host, path or service; with -m only the mode that is asked for, if any.
function __pync_wanted
    set -l asked $argv[1]
    set -l words (commandline -opc)
    set -e words[1]
    argparse @SPECS@ -- $words 2>/dev/null
    or return
    if test "$asked" = -m
        @MODES@
        return 1
    else if @UNIX_GIVEN@
        test (count $argv) -eq 0; and echo path
    else if test (count $argv) -gt 0; or set -q _flag_ports
        string match -qr '^[a-zA-Z]' -- (commandline -ct); and echo service
    else
        echo host
    end
end

# Whether an option is of use: the mode is none of these.
function __pync_unless
    not contains -- (__pync_wanted -m; or echo none) $argv
end

function __pync_services
    string replace -rf '^([a-zA-Z][^\s#]*)\s+\d+/.*' '$1' </etc/services | sort -u
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
complete -c pync -n 'contains host (__pync_wanted)' -a '(__fish_print_hostnames)'
complete -c pync -n 'contains path (__pync_wanted)' -F
complete -c pync -n 'contains service (__pync_wanted)' -a '(__pync_services)'
@ROWS@
"""


def script() -> str:
    """The file for one of fish's completion directories."""
    return fill(
        FISH,
        SPECS=" ".join(spec for opt in TABLE for spec in _fish_specs(opt)),
        UNIX_GIVEN="; or ".join(f"set -q _flag_{name}" for name in _long_names(ROWS["unix"])),
        MODES="\n        ".join(f"set -q _flag_{ROWS[mode].name}; and echo {mode}; and return" for mode in MODES),
        ROWS="\n".join(_fish_row(opt) for opt in TABLE),
    )


def _long_names(opt: Opt) -> list[str]:
    return [opt.name, *opt.aliases]


def _fish_specs(opt: Opt) -> list[str]:
    """The row for fish's argparse: `o/output=`, `k/keep-open`; `+` allows it more than once."""
    first, *others = _long_names(opt)
    letter = f"{opt.short}/" if opt.short else ""
    value = "=+" if opt.takes_value else ""
    return [f"{letter}{first}{value}", *(f"{name}{value}" for name in others)]


#: fish's options for each offer: -r requires a value, -F completes files, -x requires a value that is no file.
FISH_OFFERS = {
    FILES: " -r -F",
    DIRECTORIES: " -x -a '(__pync_directories)'",
    COMMANDS: " -x -a '(__pync_commands)'",
    NOTHING: " -x",
}


def _fish_row(opt: Opt) -> str:
    letter = f" -s {opt.short}" if opt.short else ""
    names = "".join(f" -l {name}" for name in _long_names(opt))
    useless = [mode for mode in MODES if opt not in beside(mode)]
    unless = f" -n '__pync_unless {' '.join(useless)}'" if useless else ""
    return f"complete -c pync{letter}{names}{unless}{_fish_value(opt)} -d {_fish_quoted(opt.help)}"


def _fish_value(opt: Opt) -> str:
    if opt.attribute == "help":
        return f" -x -a {_fish_quoted(' '.join(HELP_TOPICS))}"
    if not opt.takes_value:
        return ""
    words = offer(opt)
    return FISH_OFFERS.get(words) or f" -x -a {_fish_quoted(' '.join(words))}"


def _fish_quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
