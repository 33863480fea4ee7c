"""Listening: every address of a name on one port, and the life of a unix socket's path.

Families that a machine lacks and numbers that collide are made with a socket class that fails when
asked to. Accepting and relaying are tested with the command, in cli/.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from typing import TYPE_CHECKING, Any

import pytest

from pync.errors import NETWORK, USAGE, Fault
from pync.net.listen import FAMILY_MISSING, PORT_TRIES, Listener, listen, write_port_file
from pync.wire.address import Target
from tests.plans import planned
from tests.running import PATIENCE, unused_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

FOUR, SIX = ("127.0.0.1", 0), ("::1", 0, 0, 0)
LINUX = os.path.exists("/proc/sys/net")


@pytest.fixture(autouse=True)
def _ipv6() -> None:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
    except OSError as error:
        pytest.skip(f"no IPv6 loopback here: {error}")


@pytest.fixture
def both(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Target]:
    """A target whose name stands for the loopbacks of both families, whatever /etc/hosts says."""

    def getaddrinfo(host: Any, port: Any, family: int, kind: int, *rest: Any) -> list[Any]:
        found = [(socket.AF_INET, kind, 0, "", (FOUR[0], port)), (socket.AF_INET6, kind, 0, "", (SIX[0], port, 0, 0))]
        return [row for row in found if family in (socket.AF_UNSPEC, row[0])]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return lambda port: Target("both.example", [port])


@contextlib.contextmanager
def listening(target: Target, notes: list[str] | None = None, **given: Any) -> Iterator[Listener]:
    note = (lambda text: None) if notes is None else notes.append
    listener = listen(target, planned(listen=True, **given), 5, note)
    try:
        yield listener
    finally:
        listener.close()


def patch_socket(monkeypatch: pytest.MonkeyPatch, fake: type[socket.socket]) -> None:
    monkeypatch.setattr(socket, "socket", fake)


def missing(code: int) -> type[socket.socket]:
    """A socket class of a machine without IPv6, as it shows with this error."""

    class Missing(socket.socket):
        def __init__(self, family: int = -1, *rest: Any) -> None:
            if family == socket.AF_INET6 and code == errno.EAFNOSUPPORT:
                raise OSError(code, os.strerror(code))
            super().__init__(family, *rest)

        def bind(self, address: Any) -> None:
            if self.family == socket.AF_INET6:
                raise OSError(code, os.strerror(code))
            super().bind(address)

    return Missing


# --- both families, one port


@pytest.mark.parametrize("udp", [False, True])
def test_a_listener_without_a_host_binds_every_address_of_both_families_on_one_port(udp: bool) -> None:
    with listening(Target(None, [0]), udp=udp) as listener:
        assert sorted(address.host for address in listener.addresses()) == ["0.0.0.0", "::"]
        ports = {address.port for address in listener.addresses()}
        assert len(ports) == 1
        assert 0 not in ports


@pytest.mark.parametrize("udp", [False, True])
def test_a_name_of_both_families_is_bound_on_both_with_one_port(both: Callable[[int], Target], udp: bool) -> None:
    with listening(both(0), udp=udp) as listener:
        four, six = listener.addresses()
        assert (four.host, six.host) == ("127.0.0.1", "::1")
        assert four.port == six.port != 0


def test_clients_of_both_families_are_heard_at_one_port(both: Callable[[int], Target]) -> None:
    with listening(both(0)) as listener:
        for sock, address in zip(listener.sockets, listener.addresses(), strict=True):
            sock.settimeout(PATIENCE)
            with socket.socket(address.family) as client:
                client.connect(address.sockaddr)
                with sock.accept()[0] as connection:
                    assert connection.getpeername() == client.getsockname()


@pytest.mark.parametrize(("given", "host"), [({"ipv4": True}, "0.0.0.0"), ({"ipv6": True}, "::")])
def test_the_options_4_and_6_bind_one_family(given: dict[str, Any], host: str) -> None:
    with listening(Target(None, [0]), **given) as listener:
        assert [address.host for address in listener.addresses()] == [host]


def test_a_given_port_is_bound_on_both_families(both: Callable[[int], Target]) -> None:
    port = unused_port()
    with listening(both(port)) as listener:
        assert [address.port for address in listener.addresses()] == [port, port]


def test_an_ipv6_socket_takes_ipv6_only(both: Callable[[int], Target]) -> None:
    with listening(both(0)) as listener:
        six = listener.sockets[1]
        assert six.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1


@pytest.mark.parametrize(("udp", "reuse"), [(False, True), (True, False)])
def test_addresses_are_reused_after_a_restart_but_never_shared(udp: bool, reuse: bool) -> None:
    with listening(Target("127.0.0.1", [0]), udp=udp) as listener:
        (sock,) = listener.sockets
        assert bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)) is reuse
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT) == 0


def test_bound_sockets_do_not_block_and_are_not_inherited(both: Callable[[int], Target]) -> None:
    with listening(both(0)) as listener:
        assert not any(sock.getblocking() or sock.get_inheritable() for sock in listener.sockets)


def test_a_stream_socket_listens_with_the_backlog_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    class Recording(socket.socket):
        def listen(self, backlog: int = 128, /) -> None:
            asked.append(backlog)
            super().listen(backlog)

    patch_socket(monkeypatch, Recording)
    with listening(Target("127.0.0.1", [0])):
        assert asked == [5]


# --- a family that the machine lacks


@pytest.mark.parametrize("code", FAMILY_MISSING)
def test_a_family_that_the_machine_lacks_is_a_note_while_the_other_binds(
    both: Callable[[int], Target], monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    patch_socket(monkeypatch, missing(code))
    notes: list[str] = []
    with listening(both(0), notes) as listener:
        assert [address.host for address in listener.addresses()] == ["127.0.0.1"]
    (note,) = notes
    assert "::1" in note
    assert os.strerror(code) in note


def test_a_listener_that_has_no_family_at_all_is_an_error(
    both: Callable[[int], Target], monkeypatch: pytest.MonkeyPatch
) -> None:
    patch_socket(monkeypatch, missing(errno.EAFNOSUPPORT))
    with pytest.raises(Fault, match="::1") as caught, listening(both(0), ipv6=True):
        pass
    assert caught.value.code == NETWORK


# --- addresses in use


@pytest.mark.parametrize("udp", [False, True])
@pytest.mark.parametrize("holder", [FOUR, SIX])
def test_an_address_in_use_in_either_family_is_an_error_that_names_it(
    both: Callable[[int], Target], holder: Any, udp: bool
) -> None:
    family = socket.AF_INET6 if len(holder) == 4 else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM if udp else socket.SOCK_STREAM) as sock:
        sock.bind(holder)
        if not udp:
            sock.listen()
        port = sock.getsockname()[1]
        with pytest.raises(Fault) as caught, listening(both(port), udp=udp):
            pass
    protocol = "udp" if udp else "tcp"
    assert caught.value.code == USAGE
    assert caught.value.text == f"listen on {holder[0]} port {port} ({protocol}): Address already in use"


def test_a_second_listener_on_the_port_is_an_error(both: Callable[[int], Target]) -> None:
    for udp in (False, True):
        with listening(both(0), udp=udp) as first:
            port = first.addresses()[0].port
            with pytest.raises(Fault, match="Address already in use"), listening(both(port), udp=udp):
                pass


def test_after_an_error_the_family_that_was_bound_is_free_again(both: Callable[[int], Target]) -> None:
    with socket.socket(socket.AF_INET6) as holder:
        holder.bind(SIX)
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(Fault), listening(both(port)):
            pass
        with listening(both(port), ipv4=True) as listener:
            assert [address.port for address in listener.addresses()] == [port]


def colliding(times: int) -> tuple[type[socket.socket], list[int]]:
    """A socket class whose IPv6 half finds its number taken so many times, and the numbers it was asked for."""
    asked: list[int] = []

    class Colliding(socket.socket):
        def bind(self, address: Any) -> None:
            if self.family == socket.AF_INET6:
                asked.append(address[1])
                if len(asked) <= times:
                    raise OSError(errno.EADDRINUSE, "Address already in use")
            super().bind(address)

    return Colliding, asked


def test_a_number_that_the_second_family_has_given_away_is_replaced_by_another(
    both: Callable[[int], Target], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake, asked = colliding(times=3)
    patch_socket(monkeypatch, fake)
    notes: list[str] = []
    with listening(both(0), notes) as listener:
        assert [address.port for address in listener.addresses()] == [asked[-1]] * 2
    assert len(asked) == 4
    assert all(f"port {port}" in note for port, note in zip(asked, notes, strict=False))
    assert len(notes) == 3


def test_the_search_for_a_free_number_is_bounded(
    both: Callable[[int], Target], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake, asked = colliding(times=1000)
    patch_socket(monkeypatch, fake)
    with pytest.raises(Fault, match="Address already in use") as caught, listening(both(0)):
        pass
    assert caught.value.code == USAGE
    assert len(asked) == PORT_TRIES


def test_a_given_port_is_never_replaced_by_another(
    both: Callable[[int], Target], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake, asked = colliding(times=1)
    patch_socket(monkeypatch, fake)
    port = unused_port()
    with pytest.raises(Fault, match=f"port {port}"), listening(both(port)):
        pass
    assert asked == [port]


@pytest.mark.skipif(os.geteuid() == 0 or not LINUX, reason="root may bind every port")
def test_a_port_that_one_may_not_bind_is_an_error_of_code_1() -> None:
    with pytest.raises(Fault, match=r"port 1 .*[Pp]ermission denied") as caught, listening(Target("127.0.0.1", [1])):
        pass
    assert caught.value.code == NETWORK


# --- unix-domain sockets


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "socket")


KINDS = [(False, socket.SOCK_STREAM), (True, socket.SOCK_DGRAM)]


@pytest.mark.parametrize(("udp", "kind"), KINDS)
def test_a_unix_listener_binds_its_path_and_removes_it_at_the_end(path: str, udp: bool, kind: int) -> None:
    with listening(Target(path=path), unix=True, udp=udp) as listener:
        (address,) = listener.addresses()
        assert (address.host, address.type) == (path, kind)
        with socket.socket(socket.AF_UNIX, kind) as client:
            client.connect(path)
    assert not os.path.lexists(path)


@pytest.mark.parametrize(("udp", "kind"), KINDS)
def test_a_path_that_nobody_serves_any_more_is_replaced(path: str, udp: bool, kind: int) -> None:
    with socket.socket(socket.AF_UNIX, kind) as dead:
        dead.bind(path)
    with listening(Target(path=path), unix=True, udp=udp), socket.socket(socket.AF_UNIX, kind) as client:
        client.connect(path)


@pytest.mark.parametrize(("udp", "kind"), KINDS)
@pytest.mark.parametrize("other", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_a_path_that_somebody_serves_is_an_error_and_stays(path: str, udp: bool, kind: int, other: int) -> None:
    with socket.socket(socket.AF_UNIX, other) as live:
        live.bind(path)
        if other == socket.SOCK_STREAM:
            live.listen()
        before = os.lstat(path)
        with pytest.raises(Fault) as caught, listening(Target(path=path), unix=True, udp=udp):
            pass
        assert os.lstat(path) == before
    assert caught.value.code == USAGE
    assert caught.value.text == f"listen on {path}: Address already in use"


@pytest.mark.skipif(not LINUX, reason="elsewhere a full backlog refuses, as a dead socket does")
def test_a_listener_whose_backlog_is_full_still_serves_its_path(path: str) -> None:
    with contextlib.ExitStack() as stack:
        live = stack.enter_context(socket.socket(socket.AF_UNIX))
        live.bind(path)
        live.listen(0)
        for _ in range(8):
            waiting = stack.enter_context(socket.socket(socket.AF_UNIX))
            waiting.setblocking(False)
            waiting.connect_ex(path)
        with pytest.raises(Fault, match="Address already in use"), listening(Target(path=path), unix=True):
            pass
        assert os.path.lexists(path)


@pytest.mark.parametrize("make", ["file", "directory", "link", "fifo"])
def test_whatever_is_no_socket_is_never_deleted(path: str, make: str) -> None:
    makers: dict[str, Callable[[], object]] = {
        "file": lambda: os.close(os.open(path, os.O_CREAT)),
        "directory": lambda: os.mkdir(path),
        "link": lambda: os.symlink("nowhere", path),
        "fifo": lambda: os.mkfifo(path),
    }
    makers[make]()
    before = os.lstat(path)
    with pytest.raises(Fault, match="Address already in use") as caught, listening(Target(path=path), unix=True):
        pass
    assert os.lstat(path) == before
    assert caught.value.code == USAGE


def test_a_path_that_has_become_somebody_elses_is_not_removed(path: str) -> None:
    with listening(Target(path=path), unix=True):
        os.unlink(path)
        with open(path, "w", encoding="ascii"):
            pass
    assert stat.S_ISREG(os.lstat(path).st_mode)


def test_the_socket_of_a_successor_is_not_removed(path: str) -> None:
    with listening(Target(path=path), unix=True), socket.socket(socket.AF_UNIX) as successor:
        os.rename(path, f"{path}.old")
        successor.bind(path)
        successor.listen()
        identity = os.lstat(path).st_ino
    assert os.lstat(path).st_ino == identity


def test_a_path_that_is_gone_already_is_no_error_at_the_end(path: str) -> None:
    with listening(Target(path=path), unix=True):
        os.unlink(path)
    assert not os.path.lexists(path)


def test_closing_twice_removes_only_once(path: str) -> None:
    with listening(Target(path=path), unix=True) as listener:
        listener.close()
        with open(path, "w", encoding="ascii"):
            pass
    assert os.path.exists(path)


@pytest.mark.skipif(not LINUX, reason="abstract names are Linux's")
@pytest.mark.parametrize(("udp", "kind"), KINDS)
def test_an_abstract_name_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, udp: bool, kind: int) -> None:
    monkeypatch.chdir(tmp_path)
    name = f"@pync-test-{os.getpid()}"
    with listening(Target(path=name), unix=True, udp=udp) as listener:
        assert [address.host for address in listener.addresses()] == [name]
        with socket.socket(socket.AF_UNIX, kind) as client:
            client.connect(f"\0{name[1:]}")
        assert os.listdir(tmp_path) == []


@pytest.mark.skipif(not LINUX, reason="abstract names are Linux's")
def test_an_abstract_name_in_use_is_an_error() -> None:
    name = f"@pync-test-{os.getpid()}-twice"
    with listening(Target(path=name), unix=True):
        with pytest.raises(Fault, match=f"{name}: Address already in use") as caught:
            listen(Target(path=name), planned(unix=True), 5, lambda text: None)
        assert caught.value.code == USAGE


@pytest.mark.parametrize(
    ("where", "cause"),
    [("x" * 200, "too long"), ("no/such/place", "No such file"), ("plain/socket", "Not a directory")],
)
def test_a_path_that_cannot_be_bound_is_an_error_that_names_path_and_cause(
    tmp_path: Path, where: str, cause: str
) -> None:
    (tmp_path / "plain").touch()
    bad = str(tmp_path / where)
    with pytest.raises(Fault, match=cause) as caught, listening(Target(path=bad), unix=True):
        pass
    assert bad in caught.value.text
    assert caught.value.code == NETWORK


# --- the port file


def test_the_port_file_holds_the_bound_port_once(both: Callable[[int], Target], tmp_path: Path) -> None:
    file = tmp_path / "port"
    with listening(both(0)) as listener:
        write_port_file(str(file), listener)
        assert file.read_text() == f"{listener.addresses()[0].port}\n"
    assert os.listdir(tmp_path) == ["port"]


def test_the_port_file_replaces_an_older_one_in_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "port"
    file.write_text("old")
    seen: list[str] = []
    replace = os.replace

    def watched(draft: str, path: str) -> None:
        seen.append(file.read_text())  # up to now whoever looks finds the old one, whole
        assert os.path.dirname(draft) == os.path.dirname(path)
        replace(draft, path)

    monkeypatch.setattr(os, "replace", watched)
    with listening(Target("127.0.0.1", [0])) as listener:
        write_port_file(str(file), listener)
    assert seen == ["old"]
    assert file.read_text() != "old"


@pytest.mark.parametrize("where", ["no/such/directory", "."])
def test_a_port_file_that_cannot_be_written_is_an_error_and_leaves_nothing(tmp_path: Path, where: str) -> None:
    with (
        listening(Target("127.0.0.1", [0])) as listener,
        pytest.raises(Fault, match=rf"^write {tmp_path}/") as caught,
    ):
        write_port_file(f"{tmp_path}/{where}", listener)
    assert caught.value.code == NETWORK
    assert os.listdir(tmp_path) == []


def test_a_file_that_lies_in_the_way_of_the_draft_is_neither_followed_nor_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a directory that others may write to, a link laid in advance must not be written through."""
    drafts: list[str] = []
    monkeypatch.setattr(os, "urandom", bytes)
    monkeypatch.setattr(os, "replace", lambda draft, path: drafts.append(draft))
    victim = tmp_path / "victim"
    victim.write_text("precious")
    with listening(Target("127.0.0.1", [0])) as listener:
        write_port_file(str(tmp_path / "port"), listener)
        (draft,) = drafts
        os.unlink(draft)
        os.symlink(victim, draft)
        with pytest.raises(Fault, match=r"^write .*/port: File exists$"):
            write_port_file(str(tmp_path / "port"), listener)
        names = iter([bytes(4), b"next"])
        monkeypatch.setattr(os, "urandom", lambda _: next(names))
        write_port_file(str(tmp_path / "port"), listener)
        assert drafts[1] != draft
    assert victim.read_text() == "precious"
    assert os.path.islink(draft)


def test_a_port_file_never_takes_the_place_of_a_device_or_a_pipe(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with (
        listening(Target("127.0.0.1", [0])) as listener,
        pytest.raises(Fault, match=r"^write .*/pipe: not a regular file$"),
    ):
        write_port_file(str(path), listener)
    assert stat.S_ISFIFO(path.stat().st_mode)
    assert list(tmp_path.iterdir()) == [path]
