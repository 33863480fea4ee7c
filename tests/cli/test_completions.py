"""The completions, asked for in the shells they are for.

Real bash, zsh and fish load the generated file; `ask(line)` gives what the shell offers at the end of
a command line. What they should offer is read from the option table, as the files were.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pty
import re
import shlex
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pync.cli import complete
from pync.cli.help import TOPICS
from pync.combinations import OF_PORTS, OF_PROBE
from pync.options import ROWS, TABLE
from pync.values import TOS_WORDS
from tests.running import PATIENCE, eventually, peer, running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Ask = Callable[[str], set[str]]

COMPLETIONS = Path(__file__).resolve().parents[2] / "completions"
SPELLINGS = {spelling for opt in TABLE for spelling in opt.spellings()}
HOSTS = {"alpha.example", "beta.example"}
#: A program that can be found, whose name begins like no other one's.
HANDLER = "zz-pync-handler"
#: What lies in the directory where the shells are asked.
FILES = {"one file", "other"}


# --- the shells


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory where the shells are: two files to complete and nothing else."""
    directory = tmp_path_factory.mktemp("here")
    for name in FILES:
        (directory / name).touch()
    return directory


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """No configuration of the user's, and a hosts file for bash."""
    home = tmp_path_factory.mktemp("home")
    hosts = home / "hosts"
    hosts.write_text("".join(f"192.0.2.1 {host}\n" for host in sorted(HOSTS)))
    programs = home / "bin"
    programs.mkdir()
    handler = programs / HANDLER
    handler.touch()
    handler.chmod(0o755)
    own = {"HOME": str(home), "HOSTFILE": str(hosts), "INPUTRC": "/dev/null", "TERM": "dumb", "ZDOTDIR": str(home)}
    configured = {f"XDG_{name}_HOME": str(home) for name in ("CONFIG", "DATA", "CACHE", "STATE")}
    return {"PATH": f"{programs}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8", **own, **configured}


BASH_QUESTION = """
source "$1"
COMP_WORDS=("${@:2}")
COMP_CWORD=$(($# - 2))
_pync
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def ask_bash(here: Path, environment: dict[str, str]) -> Ask:
    bash = peer("bash")

    def ask(line: str) -> set[str]:
        # As readline cuts it, to which "=" is a word.
        words = [word for part in line.split(" ") for word in re.findall("=|[^=]+|^$", part)]
        script = [bash, "--norc", "--noprofile", "-c", BASH_QUESTION, "bash", str(COMPLETIONS / "pync.bash"), *words]
        return said(script, here, environment)

    return ask


FISH_QUESTION = """
source $argv[1]
function __fish_print_hostnames
    printf '%%s\\n' %(hosts)s
end
complete -C $argv[2]
"""


@pytest.fixture(scope="module")
def ask_fish(here: Path, environment: dict[str, str]) -> Ask:
    fish = peer("fish")
    question = FISH_QUESTION % {"hosts": " ".join(sorted(HOSTS))}

    def ask(line: str) -> set[str]:
        offers = said([fish, "--no-config", "-c", question, str(COMPLETIONS / "pync.fish"), line], here, environment)
        # An offer is the whole word with its help behind a tab: `--tos=ef` where zsh and bash say `ef`.
        return {re.sub("^--[a-z-]+=", "", offer.partition("\t")[0]) for offer in offers}

    return ask


def said(argv: list[str], where: Path, environment: dict[str, str]) -> set[str]:
    """The lines of a command that has nothing to complain about."""
    done = subprocess.run(
        argv, cwd=where, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.stderr == ""
    return set(done.stdout.splitlines()) - {""}


#: zsh completes only on a terminal: compadd, which every offer passes, is made to write them down.
ZSH_SET_UP = """
bindkey -e
fpath=(%(completions)s $fpath)
autoload -Uz compinit && compinit -u -D
zstyle ':completion:*' hosts %(hosts)s
compadd() {
    local -a offers
    if [[ ${@[1,(i)(-|--)]} != *-[OAD]* ]]; then
        builtin compadd -O offers "$@"
        print -rl -- ${(Q)offers} >> %(answer)s.part
    fi
    builtin compadd "$@"
}
answer() {
    : > %(answer)s.part
    _main_complete
    compstate[insert]='' compstate[list]='' # no question whether to show that many
    mv %(answer)s.part %(answer)s
}
zle -C answer complete-word answer
bindkey '^I' answer
zle-line-init() { : > %(answer)s }
zle -N zle-line-init
"""
CLEAR_LINE = "\x15"


@pytest.fixture(scope="module")
def ask_zsh(here: Path, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    zsh = peer("zsh")
    directory = tmp_path_factory.mktemp("zsh")
    answer = directory / "answer"
    set_up = directory / "set-up"
    words = {"completions": COMPLETIONS, "hosts": " ".join(sorted(HOSTS)), "answer": answer}
    set_up.write_text(ZSH_SET_UP % words)

    with typing_into(zsh, "-f", "-i", where=here, environment=environment) as type_in:

        def ask(line: str) -> set[str]:
            type_in(f"{line}\t")
            eventually(answer.exists, f"an answer to {line!r}")
            offers = set(answer.read_text().splitlines()) - {""}
            answer.unlink()
            type_in(CLEAR_LINE)
            return offers

        type_in(f"source {set_up}\n")
        eventually(answer.exists, "zsh is ready")
        answer.unlink()
        yield ask


@contextlib.contextmanager
def typing_into(*argv: str, where: Path, environment: dict[str, str]) -> Iterator[Callable[[str], None]]:
    """A shell on a terminal of its own, and the keyboard of that terminal."""
    keyboard, terminal = pty.openpty()
    with running(*argv, stdin=terminal, stdout=terminal, cwd=where, env=environment, start_new_session=True):
        os.close(terminal)
        screen = threading.Thread(target=watch, args=(keyboard,), daemon=True)
        screen.start()
        yield lambda keys: write_all(keyboard, keys.encode())
    screen.join(PATIENCE)
    os.close(keyboard)


def watch(screen: int) -> None:
    """Read what is shown, so that the shell is never held up, until the terminal has no user any more."""
    with contextlib.suppress(OSError):
        while os.read(screen, 4096):
            pass


def write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


@pytest.fixture(params=["bash", "zsh", "fish"])
def ask(request: pytest.FixtureRequest) -> Ask:
    """The same question for each of the shells."""
    return request.getfixturevalue(f"ask_{request.param}")  # type: ignore[no-any-return]


# --- what they offer


def beginning(start: str) -> set[str]:
    return {spelling for spelling in SPELLINGS if spelling.startswith(start)}


def test_a_dash_offers_every_spelling_of_every_row(ask: Ask) -> None:
    assert ask("pync -") == SPELLINGS


def test_two_dashes_offer_every_long_name(ask: Ask) -> None:
    assert ask("pync --") == beginning("--")


def test_a_negative_beginning_offers_the_three_rows_that_have_it(ask: Ask) -> None:
    assert ask("pync --no") == {"--no-shutdown", "--no-stdin", "--nodns"}
    assert ask("pync -v host 80 --no-s") == {"--no-shutdown", "--no-stdin"}


@pytest.mark.parametrize("start", ["--po", "--port", "--source", "--source-p", "--r"])
def test_the_neighbours_of_the_port_options_are_told_apart(ask: Ask, start: str) -> None:
    assert ask(f"pync {start}") == beginning(start) != set()


def test_an_option_whose_value_cannot_be_listed_is_followed_by_nothing(ask: Ask) -> None:
    silent = [
        opt
        for opt in TABLE
        if opt.takes_value and opt.kind.metavar not in ("FILE", "DIR", "CMD") and opt.attribute not in complete.WORDS
    ]
    assert {ROWS[name] for name in ("source_port", "allow", "pid", "name")} <= set(silent)
    for opt in silent:
        spelling = opt.spellings()[0]
        assert ask(f"pync {spelling} ") == set(), spelling
    assert ask("pync -lvp ") == set()
    assert ask("pync --source-port ") == set()
    assert ask("pync --source-port=") == set()


def test_an_option_that_names_a_file_is_followed_by_files(ask: Ask) -> None:
    naming = [spelling for opt in TABLE if opt.kind.metavar == "FILE" for spelling in opt.spellings()]
    assert {"--port-file", "--denyfile"} <= set(naming)
    for spelling in naming:
        assert ask(f"pync {spelling} ") == FILES, spelling
    assert ask("pync -vo ") == FILES
    assert ask("pync --output=") == FILES
    assert ask("pync --output=on") == {"one file"}


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another directory: a directory, a program and a file that is neither."""
    directory = tmp_path_factory.mktemp("there")
    (directory / "place").mkdir()
    (directory / "program").touch()
    (directory / "program").chmod(0o755)
    (directory / "paper").touch()
    return directory


def last_parts(paths: set[str]) -> set[str]:
    """Some shells offer a whole path and some what is missing of it, some with the slash of a directory."""
    return {path.rstrip("/").rpartition("/")[2] for path in paths}


@pytest.mark.parametrize("spelling", ["--http-root ", "--http-root="])
def test_an_option_that_names_a_directory_is_followed_by_directories(ask: Ask, there: Path, spelling: str) -> None:
    assert "http-root" in [opt.name for opt in TABLE if opt.kind.metavar == "DIR"]
    assert last_parts(ask(f"pync -l {spelling}{there}/")) == {"place"}
    assert last_parts(ask(f"pync -l {spelling}{there}/pl")) == {"place"}
    assert ask(f"pync -l {spelling}") == set()


@pytest.mark.parametrize(
    "spelling", [spelling for opt in TABLE if opt.kind.metavar == "CMD" for spelling in opt.spellings()]
)
def test_an_option_that_runs_a_program_is_followed_by_programs(ask: Ask, there: Path, spelling: str) -> None:
    for before in [f"{spelling} "] + [f"{spelling}="] * spelling.startswith("--"):
        assert ask(f"pync -l {before}zz-py") == {HANDLER}
        assert last_parts(ask(f"pync -l {before}{there}/p")) == {"place", "program"}
        assert ask(f"pync -l {before}whil") == set()  # a word of the shell and no program


@pytest.mark.parametrize("spelling", ["-T ", "--tos ", "--tos="])
def test_the_words_of_tos_are_offered(ask: Ask, spelling: str) -> None:
    assert ask(f"pync {spelling}") == set(TOS_WORDS)
    assert ask(f"pync host 80 {spelling}low") == {"lowdelay", "lowcost"}


@pytest.mark.parametrize("spelling", ["--hash ", "--hash="])
def test_the_digests_that_have_a_length_are_offered(ask: Ask, spelling: str) -> None:
    offers = ask(f"pync {spelling}")
    assert {"sha256", "blake2b"} <= offers
    assert all(hashlib.new(name, usedforsecurity=False).digest_size for name in offers)


def test_hosts_are_offered_for_the_first_operand_only(ask: Ask) -> None:
    assert ask("pync ") == HOSTS
    assert ask("pync -v -w 5 --quit-after -1 alp") == {"alpha.example"}
    assert ask("pync -lp 80 --idle-timeout=80 ") == HOSTS
    assert ask("pync -- ") == HOSTS
    assert ask("pync host ") == set()
    assert ask("pync host -v al") & HOSTS == set()


@pytest.mark.parametrize("spelling", ["-U", "-lU", "-vUl", "--unix", "--unixsock"])
def test_with_unix_sockets_the_first_operand_is_a_file(ask: Ask, spelling: str) -> None:
    assert ask(f"pync {spelling} ") == FILES
    assert ask(f"pync -w 1 {spelling} oth") == {"other"}
    assert ask(f"pync {spelling} path ") == set()


def test_services_are_offered_where_a_port_stands_and_begun_with_a_letter(ask: Ask) -> None:
    assert {"http", "https"} <= ask("pync localhost ht")
    assert "smtp" in ask("pync -v -w 5 localhost smt")
    assert {"http", "https"} <= ask("pync --ports 22 ht")
    assert "smtp" in ask("pync --ports smt")
    assert ask("pync localhost 2") == set()
    assert ask("pync -U path ht") == set()


@pytest.mark.parametrize("spelling", ["--help ", "-h ", "--help="])
def test_behind_help_the_groups_are_offered(ask: Ask, spelling: str) -> None:
    assert ask(f"pync {spelling}") == {*TOPICS, "all"}
    assert ask(f"pync {spelling}en") == {"end-of-data"}


@pytest.mark.parametrize(("mode", "taken"), [("-z", OF_PROBE), ("-vz", OF_PROBE), ("--ports", OF_PORTS)])
def test_beside_a_mode_only_what_is_of_use_in_it_is_offered(ask: Ask, mode: str, taken: tuple[str, ...]) -> None:
    useful = {spelling for name in (*taken, "help", "version") for spelling in ROWS[name].spellings()}
    offered = ask(f"pync {mode} --")
    given = {spelling for name in ("zero", "ports", "verbose") for spelling in ROWS[name].spellings()}
    assert offered - given == {spelling for spelling in useful if spelling.startswith("--")} - given


def test_behind_two_dashes_nothing_is_an_option(ask: Ask) -> None:
    assert ask("pync -- --no") == set()


def test_zsh_does_not_offer_what_does_not_go_with_an_option_already_given(ask_zsh: Ask) -> None:
    assert ask_zsh("pync --shut") == {"--shutdown"}
    assert ask_zsh("pync --no-shutdown --shut") == set()
    assert ask_zsh("pync -U --source-p") == set()
    assert ask_zsh("pync --source-port 80 --unix") == set()
    assert ask_zsh("pync -v --verb") == {"--verbose"}


@pytest.mark.parametrize("name", ["_pync", "pync.fish"])
def test_the_shells_that_show_help_have_that_of_every_row(name: str) -> None:
    text = (COMPLETIONS / name).read_text("utf-8").replace("'\\''", "'")
    plain = re.sub(r"\\(['\[\]])", r"\1", text)
    assert [opt.name for opt in TABLE if opt.help not in plain] == []


def test_the_lists_of_words_belong_to_rows_that_take_a_value() -> None:
    assert all(ROWS[attribute].takes_value for attribute in complete.WORDS)


# --- bash on a terminal, where readline quotes and cuts

BASH_SET_UP = """
source %(completions)s/pync.bash
pync() {
    printf '%%s\\n' "$@" > %(typed)s.part
    mv %(typed)s.part %(typed)s
}
"""


@pytest.fixture
def type_bash(here: Path, environment: dict[str, str], tmp_path: Path) -> Iterator[Callable[[str], list[str]]]:
    """Type a line into bash; gives the words that the command gets."""
    typed = tmp_path / "typed"
    set_up = tmp_path / "set-up"
    set_up.write_text(BASH_SET_UP % {"completions": shlex.quote(str(COMPLETIONS)), "typed": typed})
    with typing_into(
        peer("bash"), "--noprofile", "--rcfile", str(set_up), "-i", where=here, environment=environment
    ) as type_in:

        def words(keys: str) -> list[str]:
            type_in(f"{keys}\n")
            eventually(typed.exists, f"bash has run {keys!r}")
            got = typed.read_text().splitlines()
            typed.unlink()
            return got

        yield words


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ("pync --port-\ton\t", ["--port-file", "one file"]),
        ("pync --output=on\t", ["--output=one file"]),
        ("COMP_WORDBREAKS=' '\npync --output=on\t", ["--output=one file"]),
        ("pync -oon\t", ["-oone file"]),
        ("pync -o one\\ \t", ["-o", "one file"]),
        ("pync -o 'one\t", ["-o", "one file"]),
        ("pync -l 80 -v < oth\t -T lowd\t", ["-l", "80", "-v", "-T", "lowdelay"]),
        ("pync --no-st\talp\t 80", ["--no-stdin", "alpha.example", "80"]),
        ("pync -U on\t", ["-U", "one file"]),
        ("pync -l --http-r\t/usr/bi\t", ["-l", "--http-root", "/usr/bin/"]),
        ("pync -l -e zz-\t 80", ["-l", "-e", "zz-pync-handler", "80"]),
        ("pync -l --exec=zz-\t 80", ["-l", "--exec=zz-pync-handler", "80"]),
        ("pync -l -ezz-\t 80", ["-l", "-ezz-pync-handler", "80"]),
    ],
)
def test_what_bash_makes_of_a_tab_reaches_the_command(
    type_bash: Callable[[str], list[str]], keys: str, words: list[str]
) -> None:
    assert type_bash(keys) == words
