"""The directory behind --http: what is found, what is listed, and that nothing outside is reachable."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pync.errors import Fault
from pync.handlers import site as site_module
from pync.handlers.site import Site, SiteFile
from pync.wire.http.pages import Entry, Listing, Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SECRET = b"the secret outside"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder to serve, beside a secret."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.txt").write_bytes(SECRET)
    folder = tmp_path / "root"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.txt").write_bytes(b"content of a")
    (folder / "sub" / "b.html").write_bytes(b"content of b")
    return folder


@contextlib.contextmanager
def serving(root: Path) -> Iterator[Site]:
    """The site of a folder; afterwards it holds nothing open."""
    before = os.listdir("/dev/fd")
    site = Site(str(root))
    try:
        yield site
    finally:
        site.close()
    assert os.listdir("/dev/fd") == before


def read(listing: Listing) -> list[Entry]:
    """All of it."""
    while not listing.ready:
        listing.read_on()
    return [entry for part in listing.parts if not isinstance(part, bytes) for entry in part]


def look(root: Path, path: str) -> bytes | list[bytes] | int | None:
    """What a path leads to: a file's content, the sorted names of a listing, None to be moved, a status."""
    names = os.fsencode(path).split(b"/")
    folder = names[-1] == b""
    with serving(root) as site:
        try:
            found = site.find(names[:-1] if folder else names, folder)
        except Refusal as refusal:
            return refusal.status
        if isinstance(found, Listing):
            return sorted(entry.name + b"/" * entry.folder for entry in read(found))
        if found is None:
            return None
        try:
            return found.read(0, found.size)
        finally:
            found.close()


def opened(site: Site, name: bytes) -> SiteFile:
    found = site.find([name], False)
    assert isinstance(found, SiteFile)
    return found


def test_files_are_found_and_folders_listed(root: Path) -> None:
    assert look(root, "a.txt") == b"content of a"
    assert look(root, "sub/b.html") == b"content of b"
    assert look(root, "") == [b"a.txt", b"sub/"]
    assert look(root, "sub/") == [b"b.html"]


def test_a_folder_wants_its_slash_and_a_file_none(root: Path) -> None:
    assert look(root, "sub") is None
    assert look(root, "a.txt/") == 404
    assert look(root, "a.txt/b") == 404
    assert look(root, "nothing") == look(root, "nothing/") == look(root, "nothing/more") == 404


def test_the_index_of_a_folder_stands_for_it(root: Path) -> None:
    (root / "sub" / "index.html").write_bytes(b"welcome")
    assert look(root, "sub/") == b"welcome"
    assert look(root, "sub") is None


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, lambda path: os.symlink("nowhere", path)])
def test_what_is_called_index_and_is_no_file_does_not_stand_for_the_folder(root: Path, make) -> None:  # type: ignore[no-untyped-def]
    make(root / "sub" / "index.html")
    found = look(root, "sub/")
    assert isinstance(found, list)
    assert b"b.html" in found


def test_an_index_that_leads_out_is_not_served(root: Path) -> None:
    (root / "sub" / "index.html").symlink_to("../../outside/secret.txt")
    assert look(root, "sub/") == [b"b.html"]


def test_hidden_names_are_neither_served_nor_listed(root: Path) -> None:
    (root / ".git").mkdir()
    (root / ".git" / "config").write_bytes(SECRET)
    (root / ".env").write_bytes(SECRET)
    assert look(root, "") == [b"a.txt", b"sub/"]
    assert look(root, ".env") == look(root, ".git") == look(root, ".git/") == look(root, ".git/config") == 404


@pytest.mark.parametrize(
    "path", ["..", "../", "../outside/secret.txt", "sub/../a.txt", "sub/./b.html", ".", "sub//b.html"]
)
def test_no_dots_and_no_empty_names_are_walked(root: Path, path: str) -> None:
    assert look(root, path) == 404


@pytest.mark.parametrize("name", [b"a/b", b"sub/b.html", b"a.txt\0", b"\0", b"/etc/passwd", b"x" * 300, b"x" * 9000])
def test_a_name_that_is_none_is_not_found(root: Path, name: bytes) -> None:
    with serving(root) as site, pytest.raises(Refusal) as refused:
        site.find([name], False)
    assert refused.value.status == 404


@pytest.mark.parametrize(
    ("target", "leads_to"),
    [
        ("a.txt", b"content of a"),
        ("sub/b.html", b"content of b"),
        ("./sub/../a.txt", b"content of a"),
        ("sub/../sub//b.html", b"content of b"),
        ("{root}/a.txt", b"content of a"),
        ("{root}//sub/b.html", b"content of b"),
        ("second", b"content of a"),
        ("../outside/secret.txt", 404),
        ("sub/../../outside/secret.txt", 404),
        ("{root}/../outside/secret.txt", 404),
        ("{root}-other/x", 404),
        ("/etc/passwd", 404),
        ("/", 404),
        ("..", 404),
        ("../root/a.txt", 404),
        ("link", 404),
        ("a.txt/", 404),
        ("a.txt/.", 404),
        ("a.txt/..", 404),
        ("nothing", 404),
    ],
)
def test_a_link_is_followed_inside_and_never_out(root: Path, target: str, leads_to: bytes | int) -> None:
    (root / "second").symlink_to("a.txt")
    (root / "link").symlink_to(target.format(root=root))
    assert look(root, "link") == leads_to
    listed = look(root, "")
    assert isinstance(listed, list)
    assert (b"link" in listed) == isinstance(leads_to, bytes)


def test_a_link_to_a_folder_leads_to_what_is_in_it(root: Path) -> None:
    (root / "way").symlink_to("sub")
    (root / "sub" / "back").symlink_to("../a.txt")
    (root / "sub" / "out").symlink_to("../../outside")
    assert look(root, "way") is None
    assert look(root, "way/b.html") == b"content of b"
    assert look(root, "way/back") == b"content of a"
    assert look(root, "way/out/secret.txt") == look(root, "way/out/") == look(root, "way/out") == 404


def test_a_root_that_is_a_link_itself_is_served(root: Path) -> None:
    alias = root.parent / "alias"
    alias.symlink_to(root)
    (root / "one").symlink_to(root / "a.txt")
    (root / "two").symlink_to(alias / "a.txt")
    assert look(alias, "one") == look(alias, "two") == b"content of a"


@pytest.mark.parametrize("target", [".env", ".git/config", "sub/../.env", "{root}/.env", ".git"])
def test_a_link_with_a_visible_name_does_not_show_what_is_hidden(root: Path, target: str) -> None:
    (root / ".env").write_bytes(SECRET)
    (root / ".git").mkdir()
    (root / ".git" / "config").write_bytes(SECRET)
    (root / "link").symlink_to(target.format(root=root))
    assert look(root, "link") == look(root, "link/") == 404
    assert look(root, "") == [b"a.txt", b"sub/"]


def test_links_in_a_circle_end(root: Path) -> None:
    (root / "x").symlink_to("y")
    (root / "y").symlink_to("x")
    (root / "self").symlink_to(".")
    assert look(root, "x") == 404
    assert look(root, "self/" * 30 + "a.txt") == b"content of a"
    assert look(root, "self/" * 50 + "a.txt") == 404


NAMES = ["a", "b", "c"]
TARGETS = st.lists(
    st.sampled_from([*NAMES, "..", "..", ".", "", "{root}", "{outside}", "secret"]), min_size=1, max_size=5
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map(tuple),
        st.one_of(st.just("file"), st.just("folder"), TARGETS.map("/".join)),
        max_size=8,
    ),
    st.lists(st.lists(st.sampled_from([*NAMES, "secret", ""]), min_size=1, max_size=5), max_size=8),
)
def test_no_tree_with_links_whatever_leads_outside(
    tmp_path_factory: pytest.TempPathFactory, tree: dict[tuple[str, ...], str], paths: list[list[str]]
) -> None:
    """And what is found is the file that the system's own resolution finds."""
    base = tmp_path_factory.mktemp("tree").resolve()
    root, outside = base / "root", base / "outside"
    root.mkdir()
    outside.mkdir()
    (outside / "secret").write_bytes(SECRET)
    (outside / "a").write_bytes(SECRET)
    for place, what in sorted(tree.items()):
        _make(root, root.joinpath(*place), what.format(root=root, outside=outside))
    for names in [*paths, *map(list, tree)]:
        path = "/".join(names)
        found = look(root, path)
        assert found != SECRET
        assert not (isinstance(found, list) and b"secret" in found)
        if isinstance(found, bytes):
            assert found == (root / path).read_bytes()


def _make(root: Path, path: Path, what: str) -> None:
    with contextlib.suppress(OSError):  # a file is in the way, or a link that leads nowhere
        if not f"{os.path.realpath(path.parent)}/".startswith(f"{root}/"):
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        if what == "folder":
            path.mkdir()
        elif what == "file":
            with open(path, "xb") as file:
                file.write(b"inside: " + os.fsencode(path))
        else:
            path.symlink_to(what)


def link_out(root: Path, name: str) -> None:
    (root / name).symlink_to("../outside/secret.txt" if name == "a.txt" else "../outside")


def pipe(root: Path, name: str) -> None:
    os.mkfifo(root / name)


@pytest.mark.parametrize(
    ("path", "name", "exchange"),
    [
        ("a.txt", "a.txt", link_out),
        ("sub/secret.txt", "sub", link_out),
        ("sub/", "sub", link_out),
        ("a.txt", "a.txt", pipe),
    ],
    ids=["file for link", "folder for link", "listed folder for link", "file for pipe"],
)
def test_what_is_exchanged_after_it_was_looked_at_does_not_lead_out_and_does_not_block(
    root: Path, monkeypatch: pytest.MonkeyPatch, path: str, name: str, exchange: Callable[[Path, str], None]
) -> None:
    real_lstat = os.lstat

    def look_and_exchange(looked_at: bytes, **where: int) -> os.stat_result:
        status = real_lstat(looked_at, **where)
        if looked_at == os.fsencode(name) and not stat.S_ISLNK(status.st_mode):
            (root / name).rename(root.parent / "gone")
            exchange(root, name)
        return status

    monkeypatch.setattr(os, "lstat", look_and_exchange)
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.append(look(root, path)), daemon=True)
    thread.start()
    thread.join(10)
    assert found == [404]


def test_pipes_sockets_and_devices_are_not_opened_and_do_not_block(root: Path) -> None:
    os.mkfifo(root / "pipe")
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(os.path.relpath(root / "socket"))
        assert look(root, "pipe") == look(root, "pipe/") == look(root, "socket") == 404
        assert look(root, "") == [b"a.txt", b"sub/"]


def test_what_may_not_be_read_is_forbidden(root: Path) -> None:
    (root / "a.txt").chmod(0)
    (root / "sub").chmod(0o100)
    if os.access(root / "a.txt", os.R_OK):
        pytest.skip("root may read everything")
    try:
        assert look(root, "a.txt") == 403
        assert look(root, "sub/") == 403
        assert look(root, "sub/b.html") == b"content of b"
    finally:
        (root / "sub").chmod(0o700)


def test_without_free_descriptors_it_is_busy_and_goes_on_afterwards(root: Path) -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with serving(root) as site:
        spare = os.open("/dev/null", os.O_RDONLY)
        os.close(spare)
        resource.setrlimit(resource.RLIMIT_NOFILE, (spare, hard))
        try:
            with pytest.raises(Refusal) as refused:
                site.find([b"a.txt"], False)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert refused.value.status == 503
        opened(site, b"a.txt").close()


def test_the_site_stays_where_it_is_when_its_folder_is_renamed(root: Path) -> None:
    with serving(root) as site:
        root.rename(root.parent / "elsewhere")
        opened(site, b"a.txt").close()


def test_a_file_is_read_by_piece_and_not_beyond_its_end(root: Path) -> None:
    with serving(root) as site:
        file = opened(site, b"a.txt")
        assert (file.read(8, 2), file.read(11, 5), file.read(50, 5)) == (b"of", b"a", b"")
        file.close()


def test_every_version_of_a_file_has_a_tag_of_its_own(root: Path) -> None:
    tags = set()
    with serving(root) as site:
        for content, moment in ((b"one", 1.0), (b"two", 1.0), (b"two", 1.25), (b"three", 1.25)):
            (root / "a.txt").unlink()
            (root / "a.txt").write_bytes(content)
            os.utime(root / "a.txt", (moment, moment))
            file = opened(site, b"a.txt")
            tags.add(file.tag)
            assert file.modified == 1
            file.close()
        again = opened(site, b"a.txt")
        again.close()
    assert again.tag in tags
    assert len(tags) >= 3  # the change time tells the first two apart if the system's clock has ticked between
    assert all(tag[:1] == tag[-1:] == b'"' and b"," not in tag for tag in tags)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.html", "text/html; charset=utf-8"),
        ("A.HTML", "text/html; charset=utf-8"),
        ("a.txt", "text/plain; charset=utf-8"),
        ("a.css", "text/css; charset=utf-8"),
        ("a.js", "text/javascript; charset=utf-8"),
        ("a.md", "text/plain; charset=utf-8"),
        ("a.png", "image/png"),
        ("a.jpg", "image/jpeg"),
        ("a.svg", "image/svg+xml"),
        ("a.webp", "image/webp"),
        ("a.pdf", "application/pdf"),
        ("a.json", "application/json"),
        ("a.wasm", "application/wasm"),
        ("a.woff2", "font/woff2"),
        ("a.gz", "application/gzip"),
        ("a.tar.gz", "application/gzip"),
        ("a", "application/octet-stream"),
        ("a.", "application/octet-stream"),
        ("a.unheard-of", "application/octet-stream"),
        ("a.ht ml", "application/octet-stream"),
        ("a.html~", "application/octet-stream"),
    ],
)
def test_the_end_of_the_name_tells_the_content_type(root: Path, name: str, expected: str) -> None:
    (root / name).write_bytes(b"")
    with serving(root) as site:
        file = opened(site, os.fsencode(name))
        file.close()
    assert file.type.decode() == expected


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(min_size=1, max_size=100).filter(lambda name: not set(name) & set(b"/\0") and name[:1] != b"."))
def test_any_name_that_a_file_can_have_is_listed_and_found(
    tmp_path_factory: pytest.TempPathFactory, name: bytes
) -> None:
    root = tmp_path_factory.mktemp("names")
    try:
        with open(os.path.join(os.fsencode(root), name), "wb") as file:
            file.write(b"content")
    except OSError:  # a file system that takes UTF-8 only
        return
    with serving(root) as site:
        listing = site.find([], True)
        assert listing is not None
        entries = read(listing) if isinstance(listing, Listing) else []
        listing.close()
        found = opened(site, name)
        assert found.read(0, 100) == b"content"
        found.close()
    if name != b"index.html":
        assert isinstance(listing, Listing)
        assert [entry.name for entry in entries] == [name]


def test_a_listing_knows_sizes_and_times_and_is_cut_where_it_becomes_too_long(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.utime(root / "a.txt", (0, 0))
    with serving(root) as site:
        listing = site.find([], True)
        assert isinstance(listing, Listing)
        (entry,) = [entry for entry in read(listing) if entry.name == b"a.txt"]
        assert (entry.size, entry.modified, listing.cut) == (12, "1970-01-01 00:00", False)
        monkeypatch.setattr(site_module, "MOST_ENTRIES", 1)
        (root / "more").write_bytes(b"")
        listing = site.find([], True)
        assert isinstance(listing, Listing)
        assert (len(read(listing)), listing.cut) == (1, True)


def test_what_is_no_directory_cannot_be_served(root: Path) -> None:
    for path, why in ((root / "a.txt", "Not a directory"), (root / "nothing", "No such file or directory")):
        with pytest.raises(Fault, match=why) as fault:
            Site(str(path))
        assert fault.value.code == 2
