"""Start-up time is a feature: what a real run over loopback has loaded when it is done.

The command runs in an interpreter of its own and lists its modules at the end; a module counts when
a bare interpreter of the same installation does not load it anyway. Times are measured by the benchmark.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import pytest

from tests.running import PATIENCE, running

#: None of these has any business on the quick path.
HEAVY = {
    "argparse", "asyncio", "contextlib", "ctypes", "dataclasses", "email", "encodings.idna", "hashlib",
    "importlib.metadata", "inspect", "ipaddress", "json", "logging", "multiprocessing", "pathlib", "psutil", "random",
    "re", "rich", "shlex", "ssl", "subprocess", "tempfile", "threading", "typer", "typing", "urllib", "uuid",
}  # fmt: skip

MAIN = """
import sys
from pync.__main__ import main
code = main()
print("modules:", *sys.modules, file=sys.stderr)
sys.exit(code)
"""


@cache
def bare() -> frozenset[str]:
    """What this installation's interpreter loads before the first line: `.pth` files may do a lot."""
    command = [sys.executable, "-c", "import sys; print(*sys.modules)"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE)
    return frozenset(done.stdout.split())


def loaded(line: str) -> set[str]:
    """The heavy modules that are the run's own doing."""
    return {name for name in set(line.split()[1:]) - bare() if name in HEAVY or name.split(".")[0] in HEAVY}


def echo_once(server: socket.socket) -> None:
    connection, _ = server.accept()
    with connection:
        while data := connection.recv(1 << 16):
            connection.sendall(data)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("options", [[], ["-v", "-w5"], ["-N", "-q", "1"], ["-s", "127.0.0.1"]], ids=" ".join)
def test_connecting_loads_nothing_heavy(host: str, options: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:
        server.settimeout(PATIENCE)
        served = pool.submit(echo_once, server)
        with running(sys.executable, "-c", MAIN, *options, host, str(server.getsockname()[1])) as client:
            client.stdin.write(b"ping")
            code, answer = client.finish()
        served.result(PATIENCE)
    assert (code, answer) == (0, b"ping")
    assert loaded(client.messages[-1]) == set()


def test_listening_loads_nothing_heavy() -> None:
    with running(sys.executable, "-c", MAIN, "-l", "127.0.0.1", "0") as listener:
        with socket.create_connection(("127.0.0.1", listener.port()), PATIENCE) as client:
            client.sendall(b"ping")
            client.shutdown(socket.SHUT_WR)
            listener.stdin.write(b"pong")
            code, heard = listener.finish()
            assert client.recv(4, socket.MSG_WAITALL) == b"pong"
    assert (code, heard) == (0, b"ping")
    assert loaded(listener.messages[-1]) == set()


@pytest.mark.parametrize("options", [["--echo"], ["-k", "--hello"], ["-k"]], ids=" ".join)
def test_serving_loads_no_event_loop_but_ours(options: list[str]) -> None:
    with running(sys.executable, "-c", MAIN, "-l", *options, "127.0.0.1", "0") as server:
        with socket.create_connection(("127.0.0.1", server.port()), PATIENCE) as client:
            client.sendall(b"ping\n")
            client.shutdown(socket.SHUT_WR)
            if "-k" not in options:
                assert client.recv(5, socket.MSG_WAITALL) == b"ping\n"
        if "-k" in options:
            server.process.terminate()
        server.code()
    assert server.messages[-1].startswith("modules: ")
    assert loaded(server.messages[-1]) & {"asyncio", "ssl", "typing", "subprocess"} == set()


def test_sending_datagrams_loads_nothing_heavy() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.settimeout(PATIENCE)
        server.bind(("127.0.0.1", 0))
        with running(sys.executable, "-c", MAIN, "-u", "-W1", "127.0.0.1", str(server.getsockname()[1])) as client:
            client.stdin.write(b"ping")
            heard, sender = server.recvfrom(1 << 16)
            server.sendto(b"pong", sender)
            assert client.read(4) == b"pong"
            assert client.code() == 0
    assert heard == b"ping"
    assert loaded(client.messages[-1]) == set()


def test_a_refusal_is_told_without_loading_anything_heavy() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        with running(sys.executable, "-c", MAIN, "127.0.0.1", str(bound.getsockname()[1])) as client:
            assert client.finish() == (1, b"")
    assert loaded(client.messages[-1]) == set()


@pytest.mark.parametrize(
    "options", [["-z"], ["-z", "-v", "-w5"], ["-z", "--banner"], ["-z", "--wait", "30"], ["-z", "--parallel", "2"]],
    ids=" ".join,
)  # fmt: skip
def test_probing_loads_nothing_heavy(options: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        with running(sys.executable, "-c", MAIN, *options, "127.0.0.1", str(server.getsockname()[1])) as probe:
            assert probe.finish() == (0, b"")
    assert loaded(probe.messages[-1]) == set()


def test_probing_thousands_of_ports_loads_nothing_heavy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with running(sys.executable, "-c", MAIN, "-z", "127.0.0.1", "1-5000", str(port)) as probe:
            assert probe.finish() == (0, b"")
    assert loaded(probe.messages[-1]) == set()


def test_probing_over_udp_loads_nothing_heavy() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        words = ["-zu", "-w", "100ms", "127.0.0.1", str(silent.getsockname()[1])]
        with running(sys.executable, "-c", MAIN, *words) as probe:
            assert probe.finish() == (4, b"")
    assert loaded(probe.messages[-1]) == set()


@pytest.mark.parametrize("option", ["--wait", "--retry"])
def test_a_patient_connection_loads_nothing_heavy(option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:
        server.settimeout(PATIENCE)
        served = pool.submit(echo_once, server)
        words = [option, "5", "127.0.0.1", str(server.getsockname()[1])]
        with running(sys.executable, "-c", MAIN, *words) as client:
            client.stdin.write(b"ping")
            assert client.finish() == (0, b"ping")
        served.result(PATIENCE)
    assert loaded(client.messages[-1]) == set()


def test_the_list_would_show_a_heavy_module_if_there_were_one() -> None:
    with running(sys.executable, "-c", MAIN, "--nonesuch") as client:
        client.finish()
    assert {"typer", "re", "typing"} <= {name.split(".")[0] for name in loaded(client.messages[-1])} | bare()
