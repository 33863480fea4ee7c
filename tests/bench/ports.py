"""One measured look at the sockets of this machine, while a process holds thousands of connections.

The connections are made once and kept for all runs of both contestants, which then see the same. A look that
does not show the listener is no measurement. Which programs look is the rows' affair.
"""

from __future__ import annotations

import contextlib
import re
import resource
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from tests.running import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: As many as the target names.
CONNECTIONS = 5000
#: The time of this is allowed on top of three times that of ss.
IMPORT_PSUTIL = [sys.executable, "-c", "import psutil"]

#: Holds connections to itself until its input ends; says the port when all are there.
HOLDER = """
import resource, socket, sys
limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
server = socket.create_server(("127.0.0.1", 0), backlog=1024)
kept = []
for _ in range(int(sys.argv[1])):
    kept += [socket.create_connection(server.getsockname()), server.accept()[0]]
print(server.getsockname()[1], flush=True)
sys.stdin.read()
"""


class NothingSeen(Exception):
    """A look that did not show what is there is no measurement."""


@contextlib.contextmanager
def crowded(connections: int = CONNECTIONS) -> Iterator[int]:
    """A machine with so many connections more, both ends of them: the port that they are to.

    Raises:
        OSError: the limit of open files does not allow it.
    """
    needed, allowed = 2 * connections + 100, resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if allowed != resource.RLIM_INFINITY and allowed < needed:
        raise OSError(f"{needed} open files are needed, {allowed} are allowed")
    command = [sys.executable, "-c", HOLDER, str(connections)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        try:
            yield int(holder.stdout.readline())
        finally:
            holder.stdin.close()
            holder.wait(PATIENCE)


def look(command: Sequence[str], port: int) -> float:
    """The seconds of one look, which has to show the listener.

    Raises:
        NothingSeen: it ended badly, or did not.
    """
    started = time.perf_counter()
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=PATIENCE)
    seconds = time.perf_counter() - started
    if done.returncode or not re.search(rf"[:\t]{port}\b", done.stdout.decode()):
        raise NothingSeen(f"{command!r} ended with {done.returncode} and did not show port {port}")
    return seconds


def run_to_end(command: Sequence[str]) -> float:
    """The seconds of a program that shows nothing, such as IMPORT_PSUTIL."""
    started = time.perf_counter()
    subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=True, timeout=PATIENCE)
    return time.perf_counter() - started
