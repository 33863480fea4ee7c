"""The pipes to and from a program that talks in datagrams: borders, empty messages, the end."""

from __future__ import annotations

import os

from pync.processes.pipes import LAST_ANSWERS, PacketPipes


def test_messages_of_a_program_keep_their_borders_and_empty_ones_are_none() -> None:
    pipes, buffer = PacketPipes(), memoryview(bytearray(100))
    for message in (b"", b"one", b"", b"three"):
        os.write(pipes.stdout, message)

    def read() -> int | None:
        return next((count for _ in range(3) if (count := pipes.from_program.read_into(buffer)) is not None), None)

    assert [read(), read(), read()] == [3, 5, None]
    os.write(pipes.stdout, b"last")
    os.write(pipes.stdout, b"")
    pipes.from_program.ended = True
    assert [read(), read()] == [4, 0]  # although the other end is open
    pipes.close_theirs()
    pipes.close()


def test_others_that_hold_the_output_of_a_program_which_has_exited_are_not_read_for_ever() -> None:
    pipes, buffer = PacketPipes(), memoryview(bytearray(100))
    pipes.from_program.ended = True
    reads = 0
    os.write(pipes.stdout, b"x")
    while pipes.from_program.read_into(buffer):
        os.write(pipes.stdout, b"x")
        reads += 1
    assert 0 < reads <= LAST_ANSWERS
    pipes.close_theirs()
    pipes.close()
