"""The public face: `import pync` costs nothing, and its few names are typed and documented.

That mypy accepts `CONNECT` and `RUN` below is part of the test. What a connection does with every
option is tested with `net.dial` and black box, not here.
"""

from __future__ import annotations

import contextlib
import errno
import inspect
import io
import pickle
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata, resources
from typing import TYPE_CHECKING, Any

import pytest

import pync

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    CONNECT: Callable[[str, int | str], socket.socket] = pync.connect
    RUN: Callable[[list[str], int, io.BytesIO, io.StringIO], int] = pync.run
    FAULT: type[OSError] = pync.Fault

PUBLIC = ["Fault", "Stop", "__version__", "connect", "run"]


def fresh(code: str) -> str:
    """What a fresh interpreter prints when it runs this without a complaint."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def modules_after(code: str) -> set[str]:
    return set(fresh(f"{code}\nimport sys; print(*sys.modules)").split())


def test_importing_pync_loads_nothing_else() -> None:
    assert modules_after("import pync") - modules_after("import __future__") == {"pync"}


def test_asking_for_a_name_loads_that_name_and_not_the_command() -> None:
    loaded = modules_after("import pync; pync.connect")
    assert "pync.net.dial" in loaded
    assert not {name for name in loaded if name.startswith(("pync.engine", "pync.cli", "pync.app", "typer"))}


def test_the_public_names_are_these() -> None:
    assert sorted(pync.__all__) == PUBLIC
    assert set(PUBLIC) <= set(dir(pync))
    assert all(getattr(pync, name) is getattr(pync, name) for name in PUBLIC)


def test_a_star_import_gives_all_of_them() -> None:
    names: dict[str, Any] = {}
    exec("from pync import *", names)
    assert set(PUBLIC) <= set(names)


def test_an_unknown_name_is_an_ordinary_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'pync' has no attribute 'nonesuch'"):
        getattr(pync, "nonesuch")  # noqa: B009 - the plain spelling is the type checker's business


def test_the_version_is_that_of_the_installed_distribution() -> None:
    assert pync.__version__ == metadata.version("pync-netcat")


def test_the_package_says_that_it_is_typed() -> None:
    assert resources.files("pync").joinpath("py.typed").is_file()


@pytest.mark.parametrize("name", ["connect", "run"])
def test_every_parameter_is_annotated_and_documented(name: str) -> None:
    function = getattr(pync, name)
    signature = inspect.signature(function)
    text = inspect.getdoc(function) or ""
    assert signature.return_annotation is not inspect.Signature.empty
    assert "Args:" in text
    assert "Returns:" in text
    for argument, parameter in signature.parameters.items():
        assert parameter.annotation is not inspect.Parameter.empty
        assert f"{argument}: " in text


def test_units_and_errors_of_connect_are_documented() -> None:
    text = inspect.getdoc(pync.connect) or ""
    assert "timeout: seconds" in text
    assert "Raises:" in text
    assert "Fault" in text


def test_connect_returns_a_connected_blocking_socket() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        pync.connect("127.0.0.1", server.getsockname()[1], timeout=30.0) as client,
    ):
        assert client.getblocking()
        assert client.getpeername() == server.getsockname()
        connection, _ = server.accept()
        with connection:
            connection.sendall(b"hello")
            assert client.recv(5, socket.MSG_WAITALL) == b"hello"


def test_connect_raises_a_fault_that_names_address_and_cause() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # bound, not listening: nobody else can get the port
        port = bound.getsockname()[1]
        with pytest.raises(pync.Fault) as caught:
            pync.connect("127.0.0.1", port)
    assert caught.value.text == f"connect to 127.0.0.1 port {port} (tcp) failed: Connection refused"
    assert caught.value.code == 1


@pytest.mark.parametrize("kind", [pync.Fault, OSError, ConnectionRefusedError])
def test_a_refusal_is_caught_by_any_of_its_classes(kind: type[Exception]) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        with pytest.raises(kind) as caught:
            pync.connect("127.0.0.1", bound.getsockname()[1])
    error = caught.value
    assert isinstance(error, OSError)
    assert error.errno == errno.ECONNREFUSED
    assert str(error).endswith("failed: Connection refused")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_a_name_and_silence_have_their_classes_too() -> None:
    with pytest.raises(socket.gaierror) as unresolved:
        pync.connect("name.invalid", 80)
    assert unresolved.value.errno in (socket.EAI_NONAME, socket.EAI_AGAIN)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, contextlib.ExitStack() as queue:
        with pytest.raises(TimeoutError) as late:
            for _ in range(5):  # more than the queue takes
                queue.enter_context(pync.connect("127.0.0.1", full.getsockname()[1], timeout=0.3))
    assert late.value.errno == errno.ETIMEDOUT


def test_what_makes_no_sense_is_a_fault_without_a_number() -> None:
    with pytest.raises(pync.Fault) as caught:
        pync.connect("127.0.0.1", 70000)
    assert (caught.value.errno, caught.value.code) == (None, 2)


def test_run_can_be_called_again_in_the_same_process() -> None:
    fresh("import pync, io\nfor _ in range(2):\n    assert pync.run(['--nonesuch'], stderr=io.StringIO()) == 2")


@pytest.mark.parametrize("before", ["pync.serving.client", "pync.library", "pync.__main__", "pync.net.dial"])
def test_the_public_names_are_functions_whatever_was_imported_before(before: str) -> None:
    fresh(f"import {before}\nfrom pync import connect, run\nassert callable(connect) and callable(run)")


def test_run_relays_between_the_files_it_is_given(tmp_path: Path) -> None:
    question, answer = tmp_path / "question", tmp_path / "answer"
    question.write_bytes(b"question")
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:
        server.settimeout(30)
        echoed = pool.submit(echo_once, server)
        with question.open("rb") as stdin, answer.open("wb") as stdout:
            assert pync.run(["127.0.0.1", str(server.getsockname()[1])], stdin, stdout) == 0
            assert not stdin.closed
            stdout.write(b" and more")
        assert echoed.result(30) == b"question"
    assert answer.read_bytes() == b"question and more"


def echo_once(server: socket.socket) -> bytes:
    """Take one connection, read it to its end, send the same back."""
    connection, _ = server.accept()
    with connection:
        data = b"".join(iter(lambda: connection.recv(1 << 16), b""))
        connection.sendall(data)
    return data


def test_run_prints_failures_to_the_stderr_it_is_given_and_raises_nothing() -> None:
    messages = io.StringIO()
    assert pync.run(["--no-such-option"], stderr=messages) == 2
    assert messages.getvalue().startswith("pync: No such option: --no-such-option")
    assert len(messages.getvalue().splitlines()) == 1


def test_run_prints_the_help_to_the_stdout_it_is_given(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "output"
    with output.open("wb") as stdout:
        assert pync.run(["--version"], stdout=stdout) == 0
    assert output.read_text() == f"pync {pync.__version__}\n"
    assert capfd.readouterr() == ("", "")
