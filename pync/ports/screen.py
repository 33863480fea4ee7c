"""The terminal while a page is shown in place: alternate screen, single keys, and everything restored afterwards.

`with` restores the terminal in every case. Ctrl-Z and Ctrl-\\ arrive as keys; they restore the terminal first and
are then sent on as signals. `watch` decides what is drawn, and when.
"""

from __future__ import annotations

import os
import signal
import sys

from pync.ports.waiting import TICK, ready

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

#: Alternate screen (xterm's 1049), no line wrap, no cursor; cursor home, screen cleared.
ENTER = "\x1b[?1049h\x1b[?7l\x1b[?25l\x1b[H\x1b[2J"
LEAVE = "\x1b[?25h\x1b[?7h\x1b[?1049l"
HOME, CLEAR_LINE, CLEAR_BELOW = "\x1b[H", "\x1b[K", "\x1b[J"
#: Seconds that a stopped terminal (Ctrl-S) may delay our exit.
LAST_WORDS = 1.0
#: _POSIX_VDISABLE switches a special key off (0 on Linux, 0xff on macOS and the BSDs).
DISABLED = b"\0" if sys.platform.startswith("linux") else b"\xff"
USUAL_SIZE = (80, 24)


def size(fd: int) -> tuple[int, int]:
    """Columns and lines of a terminal; 80 and 24 if it does not say."""
    try:
        columns, lines = os.get_terminal_size(fd)
    except OSError:
        return USUAL_SIZE
    return columns or USUAL_SIZE[0], lines or USUAL_SIZE[1]


def open_screen(fd: int) -> Screen | None:
    """The terminal behind an output; None if a page cannot be shown in place.

    That is so if the output is no terminal, cannot move its cursor, or belongs to another job at the moment.
    """
    try:
        import termios  # noqa: F401  # missing on Windows

        shown = os.isatty(fd) and os.environ.get("TERM", "dumb") != "dumb" and os.tcgetpgrp(fd) == os.getpgrp()
    except (ImportError, OSError):
        return None
    if not shown:
        return None
    for path in (f"/proc/self/fd/{fd}", "/dev/tty"):
        try:
            own = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError:
            continue
        return Screen(own)
    return None


class Screen:
    """A terminal, opened anew so that O_NONBLOCK does not affect other programs; `with` enters and leaves."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._settings: list[Any] = []
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())

    def __enter__(self) -> Screen:
        """Take the terminal.

        Raises:
            EOFError: the terminal has gone.
        """
        import termios

        try:
            self._settings = termios.tcgetattr(self.fd)
            self._enter()
        except termios.error:
            os.close(self.fd)
            raise EOFError from None
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:  # a second Ctrl-C must not interrupt the restoring; one that has come already is raised here
            signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
        finally:
            self._leave()
            os.close(self.fd)
            signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)

    def _enter(self) -> None:
        import termios

        try:
            termios.tcsetattr(self.fd, termios.TCSANOW, _single_keys(self._settings))
            self._write(ENTER, None)
        except (OSError, termios.error):
            raise EOFError from None

    def _leave(self) -> None:
        import termios

        try:
            termios.tcsetattr(self.fd, termios.TCSANOW, self._settings)
            self._write(LEAVE, LAST_WORDS)
        except (OSError, termios.error):  # the terminal has gone
            return

    def size(self) -> tuple[int, int]:
        return size(self.fd)

    def draw(self, page: list[str]) -> None:
        """Show these lines, which must fit, in place of the previous ones.

        Raises:
            EOFError: the terminal has gone.
        """
        # Clear each line before writing it, because after a line of full width the cursor is on its last letter.
        *upper, last = page
        text = "".join(f"{CLEAR_LINE}{line}\r\n" for line in upper) + CLEAR_BELOW + last
        try:
            self._write(HOME + text, None)
        except OSError:
            raise EOFError from None

    def keys(self) -> bytes:
        """The keys typed since the last call. Those for a signal have had their effect already.

        Raises:
            EOFError: the terminal has gone.
        """
        try:
            typed = os.read(self.fd, 1024)
        except BlockingIOError:
            return b""
        except OSError:
            typed = b""
        if not typed:
            raise EOFError
        signals = self._signals()
        for number in (signals.get(bytes((key,))) for key in typed):
            if number is not None:
                self._aside(number)
        return typed

    def _signals(self) -> dict[bytes, signal.Signals]:
        """The keys that the user has set for these signals."""
        import termios

        control = self._settings[6]
        keys = {control[termios.VSUSP]: signal.SIGTSTP, control[termios.VQUIT]: signal.SIGQUIT}
        keys.pop(DISABLED, None)
        return keys

    def _aside(self, number: signal.Signals) -> None:
        """Restore the terminal, send our job the signal as the terminal would, and take the terminal again."""
        self._leave()
        os.kill(0, number)
        self._enter()

    def _write(self, text: str, patience: float | None) -> None:
        import time

        until = None if patience is None else time.monotonic() + patience
        rest = memoryview(text.encode(errors="replace"))
        while rest and (until is None or time.monotonic() < until):
            try:
                rest = rest[os.write(self.fd, rest) :]
            except BlockingIOError:
                ready([], [self.fd], TICK)


def _single_keys(settings: list[Any]) -> list[Any]:
    """The settings with keys that arrive one by one and without echo; Ctrl-C stays a signal (termios(3))."""
    import termios

    changed = list(settings)
    changed[3] &= ~(termios.ICANON | termios.ECHO)
    control = list(settings[6])
    control[termios.VMIN], control[termios.VTIME] = 1, 0
    for key in (termios.VSUSP, termios.VQUIT):
        control[key] = DISABLED
    changed[6] = control
    return changed
