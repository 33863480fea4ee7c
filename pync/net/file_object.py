"""A file object without a descriptor, such as BytesIO, reached through a pipe and a thread.

What runs on descriptors can read and write it then. Only the library's door needs this: the command has
descriptors.
"""

from __future__ import annotations

import codecs
import io
import os
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO, Any

CHUNK = 1 << 16


class Source:
    """Reads ahead from a file object into a pipe; `fd` is the end to read from."""

    def __init__(self, file: IO[Any]) -> None:
        self._file = file
        self._error: BaseException | None = None
        self.fd, self._writing = os.pipe()
        # As a daemon: a file object that has nothing to give must not keep the process.
        threading.Thread(target=self._pump, daemon=True).start()

    def close(self) -> None:
        """No more is read. Raises what the file object has raised."""
        os.close(self.fd)
        if self._error is not None:
            raise self._error

    def _pump(self) -> None:
        read = getattr(self._file, "read1", self._file.read)
        try:
            with open(self._writing, "wb", buffering=0) as pipe:
                while data := read(CHUNK):
                    rest = memoryview(data.encode() if isinstance(data, str) else data)
                    while rest:
                        rest = rest[pipe.write(rest) :]
        except BrokenPipeError:  # the run wants no more
            return
        except Exception as error:  # whatever a file object may raise: `close` passes it on
            self._error = error


class Sink:
    """Writes what comes out of a pipe to a file object; `fd` is the end to write to."""

    def __init__(self, file: IO[Any]) -> None:
        self._file = file
        self._error: BaseException | None = None
        self._reading, self.fd = os.pipe()
        self._thread = threading.Thread(target=self._pump, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Wait until all is written. Raises what the file object has raised."""
        os.close(self.fd)
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _pump(self) -> None:
        decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        text = isinstance(self._file, io.TextIOBase)
        try:
            with open(self._reading, "rb", buffering=0) as pipe:
                while data := pipe.read(CHUNK):
                    self._write(decode(data) if text else data)
                if text:
                    self._write(decode(b"", final=True))
        except Exception as error:  # as above; the pipe is closed, which ends the run
            self._error = error

    def _write(self, data: str | bytes) -> None:
        while data:
            count = self._file.write(data)
            if not isinstance(count, int):  # it does not tell: it has taken all
                return
            data = data[count:]
