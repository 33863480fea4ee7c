"""What sock_diag tells, of sockets that the test makes; and that a refusal is an OSError and nothing else.

The whole picture is compared with ss in tests/cli/test_ports.py.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pync.ports import netlink, records
from pync.ports.records import Socket
from tests.ports.crowd import empty_crowd, has_ipv6, port_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sock_diag is Linux's")


def entry_of(sock: socket.socket, protocol: str) -> Socket:
    inode = os.fstat(sock.fileno()).st_ino
    ports = None if protocol in records.UNIX else {port_of(sock)}
    (entry,) = (entry for entry in netlink.sockets((protocol,), ports) if entry.inode == inode)
    return entry


def test_a_listener_has_its_queue_its_limit_and_its_user() -> None:
    with empty_crowd() as crowd:
        server = crowd.listen(socket.AF_INET, "127.0.0.1", 17)
        crowd.keep(socket.create_connection(server.getsockname()))
        entry = entry_of(server, records.TCP)
        assert (entry.address, entry.port) == server.getsockname()
    assert (entry.state, entry.queue, entry.uid, entry.dual_stack) == ("listening", (1, 17), os.geteuid(), False)


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 on the loopback")
@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
@pytest.mark.parametrize("dual", [True, False])
def test_an_ipv6_wildcard_tells_whether_it_takes_ipv4(kind: int, dual: bool) -> None:
    with empty_crowd() as crowd:
        if kind == socket.SOCK_STREAM:
            entry = entry_of(crowd.listen(socket.AF_INET6, "::", 1, dual=dual), records.TCP)
        else:
            entry = entry_of(crowd.bind(socket.AF_INET6, "::", dual=dual), records.UDP)
    assert (entry.address, entry.dual_stack) == ("::", dual)


def test_a_socket_that_is_bound_to_an_interface_names_it() -> None:
    with empty_crowd() as crowd:
        server = crowd.listen(socket.AF_INET, "127.0.0.1", 1)
        try:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
        except PermissionError:
            pytest.skip("binding to an interface is not allowed here")
        assert entry_of(server, records.TCP).address == "127.0.0.1%lo"


def test_both_ends_of_a_connection_are_told_with_their_peers() -> None:
    with empty_crowd() as crowd:
        server = crowd.listen(socket.AF_INET, "127.0.0.1", 1)
        client, accepted = crowd.connect(server, "127.0.0.1", "close_wait")
        assert accepted is not None
        ours, theirs = entry_of(accepted, records.TCP), entry_of(client, records.TCP)
        assert (ours.state, ours.peer) == ("close_wait", client.getsockname())
        assert (theirs.state, theirs.peer) == ("fin_wait", server.getsockname())


def test_a_socket_without_a_name_is_no_unix_entry() -> None:
    with empty_crowd() as crowd:
        pair = [crowd.keep(sock) for sock in socket.socketpair(socket.AF_UNIX)]
        inodes = {os.fstat(sock.fileno()).st_ino for sock in pair}
        assert inodes.isdisjoint(entry.inode for entry in netlink.sockets(records.UNIX))


def test_an_abstract_name_is_written_with_an_at_sign() -> None:
    with empty_crowd() as crowd:
        name = f"\0a\0b\n{os.getpid()}"
        entry = entry_of(crowd.bind_unix(socket.SOCK_DGRAM, name), records.UNIX_DATAGRAM)
    assert (entry.address, entry.state) == (f"@a\0b\n{os.getpid()}", "bound")


def test_only_the_ports_asked_for_are_told_or_those_that_are_bound() -> None:
    with empty_crowd() as crowd:
        server = crowd.listen(socket.AF_INET, "127.0.0.1", 1)
        client, _ = crowd.connect(server, "127.0.0.1", "established")
        own, other = port_of(server), port_of(client)
        assert {entry.port for entry in netlink.sockets((records.TCP,), {own})} == {own}
        assert {entry.port for entry in netlink.sockets((records.TCP,), {other})} == {other}
        told = {entry.port for entry in netlink.sockets((records.TCP,))}
        assert own in told
        assert other not in told


def test_only_the_protocols_asked_for_are_told() -> None:
    with empty_crowd() as crowd:
        crowd.bind(socket.AF_INET, "127.0.0.1")
        assert {entry.protocol for entry in netlink.sockets((records.UDP,))} == {records.UDP}


def test_a_refusal_by_the_kernel_is_an_oserror() -> None:
    with pytest.raises(OSError) as refused:
        list(netlink._dump(netlink.INET_REQUEST.pack(socket.AF_INET, 250, 0, 0, netlink.ALL_STATES)))
    assert refused.value.errno in (errno.ENOENT, errno.EOPNOTSUPP, errno.EINVAL)


def test_another_system_is_an_oserror(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(OSError):
        netlink.sockets((records.TCP,))


@given(st.lists(st.tuples(st.integers(0, 30), st.binary(max_size=20)), unique_by=lambda pair: pair[0]))
def test_attributes_are_read_back_whatever_their_length(pairs: list[tuple[int, bytes]]) -> None:
    packed = b"".join(
        struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4) for kind, value in pairs
    )
    assert netlink._attributes(bytes(8) + packed, 8) == dict(pairs)


@given(st.binary(max_size=60))
def test_no_bytes_make_the_reader_of_attributes_hang_or_fail(data: bytes) -> None:
    assert len(netlink._attributes(data, 0)) <= 15
