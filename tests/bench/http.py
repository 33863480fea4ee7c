"""One measured HTTP server: many GETs of a small file, one GET of a large one.

The load is fetch.c's, which compares the bodies with the file. Each server gets a directory of its own with
the files in it; nginx its configuration too, which is one worker and sendfile.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.contestants import HOST, PATH, words
from tests.bench.load import load, rate
from tests.bench.process import cpu_seconds, serving
from tests.bench.sample import GIB, Sample
from tests.running import unused_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.contestants import Server
    from tests.bench.sample import Job

CONNECTIONS = 16
SMALL = bytes(range(256)) * 4

NGINX = """
daemon off; pid {root}/nginx.pid; error_log /dev/null; worker_processes 1; user root;
events {{ worker_connections 4096; }}
http {{
    access_log off; sendfile on; keepalive_requests 1000000000;
    client_body_temp_path {root}/t; proxy_temp_path {root}/t; fastcgi_temp_path {root}/t;
    uwsgi_temp_path {root}/t; scgi_temp_path {root}/t;
    server {{ listen {host}:{port} backlog=4096; root {root}; }}
}}
"""


@contextlib.contextmanager
def _started(server: Server, job: Job, file: str) -> Iterator[tuple[int, int, Path]]:
    """The port, the process, the directory."""
    port = unused_port()
    with tempfile.TemporaryDirectory(dir=job.source.parent) as directory:
        root = Path(directory)
        (root / "small").write_bytes(SMALL)
        os.link(job.source, root / "large")
        (root / "nginx.conf").write_text(NGINX.format(root=root, host=HOST, port=port))
        command = words(server.words, port, root=root, file=file)
        with serving(command, port, server.listeners, env={**os.environ, "PATH": PATH}) as pid:
            yield port, pid, root


def small(server: Server, job: Job) -> Sample:
    """GETs of 1 KiB: requests per second."""
    with _started(server, job, "small") as (port, _, root):
        return rate(load("fetch", "many", port, "/small", root / "small", CONNECTIONS, job.seconds))


def large(server: Server, job: Job) -> Sample:
    """One GET of the whole file: seconds, and the server's CPU."""
    with _started(server, job, "large") as (port, pid, root):
        before = cpu_seconds(pid)
        told = load("fetch", "one", port, "/large", root / "large", int(job.check))
        cpu = cpu_seconds(pid) - before
    return Sample(told["seconds"], {"CPU s/GiB": cpu * GIB / job.size})
