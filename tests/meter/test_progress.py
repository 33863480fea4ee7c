"""A session followed on a loop of the test's, whose clock goes as the test wants.

What the figures say is tested in test_figures, how they look in test_display.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pync.meter.display import Lines
from pync.meter.progress import Meter, Position

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pync.meter.figures import Figures
    from pync.meter.progress import Stage


class Loop:
    """Time passes when `pass_time` is called."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.timers: list[Timer] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer:
        timer = Timer(self, when, callback)
        self.timers.append(timer)
        return timer

    def pass_time(self, seconds: float) -> None:
        until = self.now + seconds
        while due := [timer for timer in self.timers if timer.when <= until]:
            first = min(due, key=lambda timer: timer.when)
            self.timers.remove(first)
            self.now = first.when
            first.callback()
        self.now = until


class Timer:
    def __init__(self, loop: Loop, when: float, callback: Callable[[], object]) -> None:
        self.loop, self.when, self.callback = loop, when, callback

    def cancel(self) -> None:
        self.loop.timers.remove(self)


class Screen:
    """A display that keeps what it was to show."""

    first, interval = 0.5, 0.1

    def __init__(self) -> None:
        self.shown: list[Figures] = []
        self.final: list[Figures] = []
        self.cleared = self.closed = 0

    def show(self, figures: Figures) -> None:
        self.shown.append(figures)

    def resized(self, figures: Figures) -> None:
        self.shown.append(figures)

    def last(self, figures: Figures) -> None:
        self.final.append(figures)

    def clear(self) -> None:
        self.cleared += 1

    def stages(self) -> list[Stage]:
        return []

    def close(self) -> None:
        self.closed += 1


class Counted:
    """The counters of a session."""

    sent = received = 0

    def __call__(self) -> tuple[int, int]:
        return self.sent, self.received


def begun(size: int | None, input_fd: int = -1) -> tuple[Meter, Screen, Loop, Counted]:
    screen, loop, counted = Screen(), Loop(), Counted()
    meter = Meter(screen, size)
    meter.begin(loop, counted, input_fd)
    return meter, screen, loop, counted


def test_the_figures_are_shown_from_the_first_time_on_at_the_interval() -> None:
    _, screen, loop, counted = begun(None)
    loop.pass_time(0.49)
    assert screen.shown == []
    counted.received = 500
    loop.pass_time(0.02)
    assert [figures.received for figures in screen.shown] == [500]
    loop.pass_time(1.0)
    assert 10 <= len(screen.shown) <= 12


def test_lines_come_every_five_seconds() -> None:
    class Outlet:
        fd = -1
        taken = b""

        def write(self, data: bytes) -> int | None:
            self.taken += data
            return len(data)

        def close(self) -> None: ...

    outlet, loop, counted = Outlet(), Loop(), Counted()
    meter = Meter(Lines(outlet), None)
    meter.begin(loop, counted, -1)
    for second in range(12):
        counted.sent += 1000
        loop.pass_time(1.0)
        assert outlet.taken.count(b"\n") == (second + 1) // 5
    meter.end()
    assert outlet.taken.decode().splitlines() == [
        "sent 5000 bytes, received 0 bytes in 5.00 s (1.0 kB/s)",
        "sent 10000 bytes, received 0 bytes in 10.00 s (1.0 kB/s)",
        "sent 12000 bytes, received 0 bytes in 12.00 s (1.0 kB/s)",
    ]


def test_the_end_is_shown_once_and_nothing_is_left_on_the_loop() -> None:
    meter, screen, loop, counted = begun(None)
    counted.sent = 2000
    loop.now += 2.0
    meter.end()
    meter.end()
    assert [(figures.sent, figures.up, figures.seconds) for figures in screen.final] == [(2000, 1000.0, 2.0)]
    assert loop.timers == []


def test_a_run_without_a_session_shows_nothing() -> None:
    screen = Screen()
    meter = Meter(screen, None)
    meter.end()
    meter.clear()
    meter.close()
    assert (screen.shown, screen.final, screen.cleared, screen.closed) == ([], [], 1, 1)


def test_each_session_of_a_run_is_counted_from_its_own_beginning() -> None:
    meter, screen, loop, counted = begun(None)
    counted.sent = 2000
    loop.now += 2.0
    meter.end()
    counted.sent = 0
    meter.begin(loop, counted, -1)
    counted.sent = 500
    loop.now += 1.0
    meter.end()
    assert [(figures.sent, figures.seconds) for figures in screen.final] == [(2000, 2.0), (500, 1.0)]


def test_a_file_gives_the_size_from_where_it_stands(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 1000)
    with open(tmp_path / "file", "rb", buffering=0) as file:
        file.seek(200)
        meter, screen, loop, counted = begun(None, file.fileno())
        file.seek(600)
        counted.sent = 400
        loop.pass_time(0.5)
        file.seek(1000)
        counted.sent = 800
        meter.end()
    assert [(figures.size, figures.percent) for figures in screen.shown + screen.final] == [(800, 50), (800, 100)]


def test_a_size_that_is_said_counts_before_that_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 1000)
    with open(tmp_path / "file", "rb", buffering=0) as file:
        meter, screen, _, _ = begun(4000, file.fileno())
        meter.end()
    assert screen.final[0].size == 4000


def test_a_size_that_is_said_is_of_what_we_send_and_without_input_of_what_we_receive() -> None:
    reading, writing = os.pipe()
    try:
        for fd, share in ((reading, 25), (-1, 75)):
            meter, screen, _, counted = begun(1000, fd)
            counted.sent, counted.received = 250, 750
            meter.end()
            assert screen.final[0].percent == share
    finally:
        os.close(reading)
        os.close(writing)


def test_a_pipe_has_no_size() -> None:
    reading, writing = os.pipe()
    try:
        meter, screen, _, _ = begun(None, reading)
        meter.end()
    finally:
        os.close(reading)
        os.close(writing)
    assert (screen.final[0].size, screen.final[0].percent) == (None, None)


def test_more_bytes_than_the_input_has_do_not_make_it_end_early(tmp_path: Path) -> None:
    """With -C more is sent than is read; before anything is sent, a piece is read already."""
    (tmp_path / "file").write_bytes(b"\n" * 1000)
    with open(tmp_path / "file", "rb", buffering=0) as file:
        position = Position(file.fileno())
        assert position.left == 1000
        file.read(500)
        assert position.passed(100) == 100
        assert position.passed(1000) == 500
        file.read()
        assert position.passed(2000) == 1000


def test_a_file_that_stands_behind_its_end_has_nothing_left(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 10)
    with open(tmp_path / "file", "rb", buffering=0) as file:
        file.seek(20)
        assert Position(file.fileno()).left == 0
