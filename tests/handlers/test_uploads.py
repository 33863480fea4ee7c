"""Where uploads go when the disk is full, has no hard links, or there are no descriptors left."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

import pytest

from pync.handlers import uploads
from pync.handlers.site import Site
from pync.handlers.uploads import Store
from pync.wire.http.pages import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(str(tmp_path))
    before = len(os.listdir("/dev/fd"))
    yield made
    assert len(os.listdir("/dev/fd")) == before
    made.close()


def failing(number: int) -> Any:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, "as the test wants it")

    return fail


def test_a_twentieth_of_the_disk_stays_free(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(site, overwrite=False, most=None)
    disk = os.statvfs(tmp_path)
    free = disk.f_bavail - disk.f_blocks // 20
    folder = site.open_folder([], b"x")
    assert store.room(folder) // disk.f_frsize == pytest.approx(free, rel=0.01)
    os.close(folder)
    monkeypatch.setattr(uploads, "KEPT_FREE", 1.0)
    with pytest.raises(Refusal) as refused:
        store.begin([b"x"], 1)
    assert refused.value.status == 507
    upload = store.begin([b"x"], None)
    with pytest.raises(Refusal) as refused:
        upload.write(b"x")
    assert refused.value.status == 507
    upload.drop()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("number", "status"), [(errno.ENOSPC, 507), (errno.EROFS, 403), (errno.EIO, 500)])
def test_what_the_system_refuses_has_its_status(
    site: Site, tmp_path: Path, number: int, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = Store(site, overwrite=False, most=100).begin([b"x"], None)
    with monkeypatch.context() as patch, pytest.raises(Refusal) as refused:
        patch.setattr(os, "write", failing(number))
        upload.write(b"x")
    upload.drop()
    upload.drop()
    assert refused.value.status == status
    assert not list(tmp_path.iterdir())


def test_without_hard_links_nothing_is_replaced_either(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", failing(errno.EPERM))
    first, second = (Store(site, overwrite=False, most=100).begin([b"x"], None) for _ in range(2))
    for upload in (first, second):
        upload.write(b"first" if upload is first else b"second")
    first.finish()
    with pytest.raises(Refusal) as refused:
        second.finish()
    assert refused.value.status == 409
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("x", b"first")]


def test_without_descriptors_it_is_busy(site: Site) -> None:
    taken: list[int] = []
    try:
        with pytest.raises(OSError, match="Too many open files"):
            while True:
                taken.append(os.dup(0))
        for _ in range(2):  # none, and then one, for the folder
            with pytest.raises(Refusal) as refused:
                Store(site, overwrite=False, most=100).begin([b"x"], None)
            assert refused.value.status == 503
            os.close(taken.pop())
    finally:
        for fd in taken:
            os.close(fd)
