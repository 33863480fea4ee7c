"""How many descriptors a server may have: as many as the system lets this process have (getrlimit(2)).

Here the limit is raised and given back. What becomes of clients when there are no more is the server's business.
"""

from __future__ import annotations

import resource

#: Descriptors asked for where the system names no limit.
MANY = 1 << 20


class DescriptorLimit:
    """As many clients as the system lets this process have: soft RLIMIT_NOFILE up to the hard one (getrlimit(2)).

    It holds while its `with` lasts. `before` is what we were given, which a process that called us gets back.
    """

    def __init__(self) -> None:
        self.before = resource.getrlimit(resource.RLIMIT_NOFILE)

    def __enter__(self) -> DescriptorLimit:
        soft, hard = self.before
        self._set((hard if hard != resource.RLIM_INFINITY else max(soft, MANY), hard))
        return self

    def __exit__(self, *_: object) -> None:
        self._set(self.before)

    def _set(self, limit: tuple[int, int]) -> None:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, limit)
        except (ValueError, OSError):  # some systems cap it below what they say
            return
