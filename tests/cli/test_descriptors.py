"""Hardly any descriptors: whatever is to be done, it is done, or one line says why not, and never a traceback.

With 4 of them Python itself does not start.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.running import PYNC

if TYPE_CHECKING:
    from pathlib import Path

MODES = {
    "connect": "127.0.0.1 1",
    "connect by name": "localhost 1",
    "connect patiently": "--wait 0.1 127.0.0.1 1",
    "connect a program": "-c true 127.0.0.1 1",
    "listen": "-l 127.0.0.1 0",
    "listen with logs": "-l --json --hash sha256 --hex-dump dump -o log --progress 127.0.0.1 0",
    "collect": "-l -k 0",
    "collect on asyncio": "-l -k --loop asyncio 0",
    "echo": "-l -k --echo 127.0.0.1 0",
    "daytime": "-l -k --daytime --port-file port --allow 127.0.0.1 127.0.0.1 0",
    "http": "-l -k --http 127.0.0.1 0",
    "workers": "-l -k --echo --workers 2 127.0.0.1 0",
    "programs": "-l -k -e cat 127.0.0.1 0",
    "datagrams": "-u -l 127.0.0.1 0",
    "datagrams to programs": "-u -l -e cat 127.0.0.1 0",
    "datagram service": "-u -l --echo 127.0.0.1 0",
    "unix": "-l -U ./socket",
    "scan": "-z 127.0.0.1 1-50",
    "scan datagrams": "-z -u -w 0.1 127.0.0.1 1",
    "ports": "--ports",
    "help": "--help",
}


@pytest.mark.parametrize("words", MODES.values(), ids=MODES)
def test_without_descriptors_one_line_says_so(words: str, tmp_path: Path) -> None:
    limited = 'ulimit -n "$1"; shift; exec "$@"'
    begun = [
        subprocess.Popen(
            ["sh", "-c", limited, "sh", str(most), PYNC, *limit_of(words), *words.split()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
        )
        for most in range(5, 13)
    ]
    for process in begun:
        _, said = process.communicate(timeout=60)
        assert "Traceback" not in said
        assert "xception" not in said
        assert "internal error" not in said
        lines = [line for line in said.splitlines() if not line.startswith('{"event": "summary"')]
        assert sum("Too many open files" in line for line in lines) <= 1, said
        assert process.returncode in (0, 1, 2, 3, 4)
        assert said or process.returncode in (0, 1, 4)


def limit_of(words: str) -> list[str]:
    """A listener that can be opened serves nobody and leaves again."""
    return ["--total-timeout", "0.3"] if words.startswith(("-l", "-u -l")) else []
