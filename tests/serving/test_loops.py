"""Loops of other makers behind the same methods; a server on them as a command is in cli/test_loop."""

from __future__ import annotations

import asyncio
import socket

import pytest

from pync.errors import Fault
from pync.net.loop import Loop
from pync.serving.loops import loop_maker


@pytest.mark.parametrize("name", [None, "quick"])
def test_unless_another_is_asked_for_it_is_the_quick_loop(name: str | None) -> None:
    loop = loop_maker(name)()
    loop.close()
    assert isinstance(loop, Loop)


@pytest.mark.parametrize("name", ["quick", "asyncio", "uvloop"])
def test_what_a_callback_does_not_catch_is_told_and_the_loop_goes_on(name: str) -> None:
    if name == "uvloop":
        pytest.importorskip("uvloop", reason="uvloop is not installed here")
    loop = loop_maker(name)()
    told: list[Exception] = []
    loop.unforeseen = told.append
    near, far = socket.socketpair()

    def fail() -> None:
        loop.remove_reader(near.fileno())
        loop.call_at(loop.time(), loop.stop)
        raise ValueError("a mistake of ours")

    with near, far:
        far.send(b"x")
        loop.add_reader(near.fileno(), fail)
        loop.run()
    loop.close()
    assert [str(error) for error in told] == ["a mistake of ours"]


def test_asyncios_inside_an_event_loop_of_the_callers_says_what_to_do() -> None:
    async def serve() -> None:
        with pytest.raises(Fault, match="in a thread of its own"):
            loop_maker("asyncio")()

    asyncio.run(serve())
