"""--http in a real browser: a page with an image, a listing whose links are followed.

Headless Chromium, driven through chromedriver by the WebDriver protocol (W3C) over plain HTTP. It may
resolve no name and gets a profile of its own: nothing but this machine is contacted.
"""

from __future__ import annotations

import contextlib
import json
import re
import struct
import urllib.request
import zlib
from typing import TYPE_CHECKING, Any

import pytest

from tests.running import PATIENCE, Running, eventually, peer, pync, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
#: The key under which WebDriver returns an element (W3C WebDriver, 12.1).
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


class Browser:
    """A WebDriver session."""

    def __init__(self, driver: str, profile: Path) -> None:
        # Proxies of the environment are for other machines.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        self._base = driver
        options = {"binary": peer("chromium"), "args": [*FLAGS, f"--user-data-dir={profile}"]}
        capabilities = {"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": options}}
        self._base += "/session/" + self._call("POST", "/session", capabilities=capabilities)["sessionId"]

    def open(self, url: str) -> None:
        """Load a page and wait until it is there with all that belongs to it."""
        self._call("POST", "/url", url=url)

    def url(self) -> str:
        return str(self._call("GET", "/url"))

    def run(self, script: str) -> Any:
        return self._call("POST", "/execute/sync", script=f"return {script}", args=[])

    def click(self, link: str) -> None:
        """Follow the link with this text; waits for the page it leads to."""
        found = self._call("POST", "/element", using="link text", value=link)
        self._call("POST", f"/element/{found[ELEMENT]}/click")

    def quit(self) -> None:
        self._call("DELETE", "")

    def _call(self, method: str, path: str, **body: Any) -> Any:
        data = json.dumps(body).encode() if method == "POST" else None
        request = urllib.request.Request(self._base + path, data, {"Content-Type": "application/json"}, method=method)
        with self._opener.open(request, timeout=PATIENCE) as answer:
            return json.load(answer)["value"]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with running(peer("chromedriver"), "--port=0") as driver:
        browser = Browser(f"http://127.0.0.1:{driver_port(driver)}", tmp_path_factory.mktemp("profile"))
        with contextlib.closing(browser._opener):
            try:
                yield browser
            finally:
                browser.quit()


def driver_port(driver: Running) -> int:
    for line in driver.stdout:
        if match := re.search(rb"started successfully on port (\d+)", line):
            return int(match[1])
    return pytest.fail("chromedriver ended before it listened")


def png(width: int, height: int) -> bytes:
    """A picture of one colour (PNG, 5 and 11.2)."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    rows = (b"\0" + b"\x40\x80\xc0" * width) * height
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A folder with a page, a picture, and names that are not easy to link to, being served."""
    root = tmp_path_factory.mktemp("site")
    (root / "page.html").write_text("<!DOCTYPE html><title>A page</title><img src='pictures/the one.png'><p>Grüße")
    (root / "pictures").mkdir()
    (root / "pictures" / "the one.png").write_bytes(png(31, 17))
    (root / "notes & <b>more<b>? 100%.txt").write_text("Fünf Zeilen")
    (root / "javascript:alert(1).txt").write_text("harmless")
    with pync("-v", "-l", "-k", "127.0.0.1", "0", "--http-root", str(root)) as server:
        yield f"http://127.0.0.1:{server.port()}"


@pytest.mark.slow
def test_a_page_is_shown_with_its_image_and_its_letters(browser: Browser, address: str) -> None:
    browser.open(f"{address}/page.html")
    assert browser.run("document.title") == "A page"
    assert browser.run("[document.images[0].naturalWidth, document.images[0].naturalHeight]") == [31, 17]
    assert browser.run("document.body.innerText").strip() == "Grüße"


@pytest.mark.parametrize(
    ("link", "text"),
    [("notes & <b>more<b>? 100%.txt", "Fünf Zeilen"), ("javascript:alert(1).txt", "harmless"), ("page.html", "Grüße")],
)
def test_a_link_of_the_listing_leads_to_its_file_whatever_it_is_called(
    browser: Browser, address: str, link: str, text: str
) -> None:
    browser.open(f"{address}/")
    browser.click(link)
    assert browser.url().startswith(f"{address}/")
    assert browser.run("document.body.innerText").strip() == text


def test_folders_are_walked_down_and_up_by_links(browser: Browser, address: str) -> None:
    browser.open(f"{address}/pictures")
    assert browser.url() == f"{address}/pictures/"
    browser.click("../")
    assert browser.url() == f"{address}/"
    browser.click("pictures/")
    browser.click("the one.png")
    assert browser.run("document.images[0].naturalWidth") == 31


def test_the_listing_has_its_style_and_runs_no_script(browser: Browser, address: str) -> None:
    browser.open(f"{address}/")
    assert browser.run("getComputedStyle(document.querySelector('.n')).textAlign") == "right"
    assert browser.run("document.querySelectorAll('#connected tr').length") >= 2
    browser.run(
        "(() => { let s = document.createElement('script'); s.textContent = 'document.title = 1';"
        " document.body.append(s); })()"
    )
    assert browser.run("document.title") == "/"


def test_a_file_that_has_not_changed_is_not_sent_again(browser: Browser, address: str) -> None:
    for sent in (True, False):
        browser.open(f"{address}/page.html?asked-for-here-only")
        entry = browser.run("performance.getEntriesByType('navigation')[0].toJSON()")
        # Resource Timing 2, 4.5: a head counts as 300 bytes; of what is known already only a head comes.
        assert (entry["transferSize"] > 300) == sent
        assert entry["decodedBodySize"] > 0


#: Puts a file of so many bytes into the form, as a person does who chooses it.
CHOOSE = """(() => {
  const chosen = new DataTransfer(), input = document.getElementById("files");
  chosen.items.add(new File(Array(%d).fill(new Uint8Array(1 << 20)), %s));
  input.files = chosen.files;
  input.dispatchEvent(new Event("change"));
})()"""
#: Keeps what the bar shows.
WATCH = """(() => {
  window.seen = [];
  new MutationObserver(() => {
    const bar = document.querySelector("progress");
    if (bar && bar.value > 0 && bar.value < 1) window.seen.push(bar.value);
  }).observe(document.getElementById("sending"), {subtree: true, childList: true, characterData: true});
})()"""


@pytest.mark.slow
def test_files_are_sent_with_progress_and_one_that_is_cancelled_leaves_nothing(
    browser: Browser, tmp_path: Path
) -> None:
    words = ["--http-root", str(tmp_path), "--http-upload", "--auth", "me:secret"]
    with pync("-l", "-k", "127.0.0.1", "0", *words) as server:
        address = f"127.0.0.1:{server.port()}"
        browser.open(f"http://me:secret@{address}/")
        browser.run(WATCH)
        browser.run(CHOOSE % (200, '"a large & \\"strange\\" one?.bin"'))
        browser.run("document.querySelector('progress').parentNode.id = 'first'")
        eventually(lambda: browser.run("window.seen.length > 2 && window.seen.at(-1) > 0.1"), "progress is shown")
        browser.run("document.querySelector('#first button').click()")
        eventually(lambda: "cancelled" in browser.run("document.getElementById('first').innerText"), "told so")
        eventually(lambda: not list(tmp_path.iterdir()), "nothing is left")
        browser.open(f"http://{address}/")
        browser.run(CHOOSE % (200, '"a large & \\"strange\\" one?.bin"'))
        eventually(lambda: browser.run("document.links.length") == 1, "the listing has it")
        [stored] = tmp_path.iterdir()
        assert stored.name == 'a large & "strange" one?.bin'
        assert stored.stat().st_size == 200 << 20
        browser.run(CHOOSE % (1, '"a large & \\"strange\\" one?.bin"'))
        eventually(lambda: "Conflict" in browser.run("document.getElementById('sending').innerText"), "refused")
        # Dropped on the page, and from another site.
        browser.run(CHOOSE.replace('input.files = chosen.files;', "").replace(
            'input.dispatchEvent(new Event("change"))',
            'document.dispatchEvent(new DragEvent("drop", {dataTransfer: chosen}))',
        ) % (0, '"dropped"'))  # fmt: skip
        eventually((tmp_path / "dropped").exists, "what was dropped is stored")
