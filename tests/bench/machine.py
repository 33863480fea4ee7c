"""What the figures were taken on: the machine, and the versions of all that took part.

Nothing here tells where on the machine anything lies.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
from importlib import metadata
from pathlib import Path

from tests.bench.contestants import PATH, is_installed, words

#: Program → the words that make it tell its version, and where in the answer that is.
VERSIONS = {
    "pync": ("{pync} --version", r"\S+\d\S*"),
    "nc.openbsd": ("nc.openbsd -h", r"patchlevel ([^)]+)"),
    "ncat": ("ncat --version", r"Version (\S+)"),
    "nc.traditional": ("nc.traditional -h", r"\[v([^\]]+)\]"),
    "socat": ("socat -V", r"socat version (\S+)"),
    "busybox": ("busybox", r"BusyBox v(\S+)"),
    "nginx": ("nginx -v", r"nginx/(\S+)"),
    "cc": ("cc --version", r"\) (\S+)"),
}
MODULES = ("uvloop",)


def describe() -> list[str]:
    """The processor, its cores, the memory, the kernel."""
    return [f"{_processor()}, {os.cpu_count()} cores, {_memory()} GiB", f"Linux {platform.release()}"]


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _memory() -> int:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30))


def versions() -> dict[str, str]:
    """Of every program and module that is there."""
    found = {"Python": f"{platform.python_implementation()} {platform.python_version()}"}
    for name, (command, pattern) in VERSIONS.items():
        if name == "pync" or is_installed(name):
            found[name] = _version(command, pattern)
    for module in MODULES:
        if is_installed(module):
            found[module] = metadata.version(module)
    return found


def _version(command: str, pattern: str) -> str:
    environment = {**os.environ, "PATH": PATH}
    done = subprocess.run(words(command), capture_output=True, text=True, check=False, env=environment)
    match = re.search(pattern, done.stdout + done.stderr)
    return match[match.lastindex or 0] if match else "unknown"
