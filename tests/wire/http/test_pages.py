"""The pages of --http: whatever a file or a peer is called, a browser sees text and a link to it."""

from __future__ import annotations

import base64
import hashlib
import urllib.parse
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pync.wire.http.pages import (
    MOST_CONNECTED,
    POLICY,
    REASONS,
    STYLE,
    Entry,
    Listing,
    error_page,
    escape,
    listing_pieces,
    quote,
)

#: What a file may be called: any bytes but the slash and NUL.
FILE_NAMES = st.binary(min_size=1).map(lambda name: name.replace(b"/", b"%").replace(b"\0", b"<"))
NASTY = st.sampled_from(
    [b"<script>alert(1)</script>", b"javascript:alert(1)", b'" onclick="x', b"&amp;", b"a b", b"%2e%2e", b"?x#y", b"\\"]
)
TAGS = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "table", "tr", "th", "td", "a"}


def listing_page(*given: Any, **named: Any) -> bytes:
    return b"".join(listing_pieces(*given, **named))


class Page(HTMLParser):
    """What a browser would make of a page: tags, links with their text, all text."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[list[str]] = []
        self.all_text = ""
        self._in_link = False
        self.feed(page.decode())
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        assert {name for name, _ in attrs} <= {"href", "class", "id", "charset", "lang"}
        if tag == "a":
            self.links.append([dict(attrs)["href"] or "", ""])
            self._in_link = True

    def handle_endtag(self, tag: str) -> None:
        if tag == "a":
            self._in_link = False

    def handle_data(self, data: str) -> None:
        self.all_text += data
        if self._in_link:
            self.links[-1][1] += data


@given(st.one_of(FILE_NAMES, NASTY), st.booleans(), st.lists(FILE_NAMES.filter(lambda name: name[:1] != b".")))
def test_every_name_is_a_link_that_leads_to_it_and_to_nothing_else(
    name: bytes, folder: bool, path: list[bytes]
) -> None:
    page = Page(listing_page(path, Listing([Entry(name, folder)])))
    assert page.tags <= TAGS
    *up, (href, _) = page.links
    assert [link for link, _ in up] == (["../"] if path else [])
    here = "http://host/" + "".join(quote(above) + "/" for above in path)
    there = urllib.parse.urlsplit(urllib.parse.urljoin(here, href))
    assert (there.netloc, there.query, there.fragment) == ("host", "", "")
    if name not in (b".", b".."):  # a site serves neither
        segments = [urllib.parse.unquote_to_bytes(segment) for segment in there.path[1:].split("/")]
        assert segments == [*path, name, *([b""] if folder else [])]


def test_folders_come_first_and_names_are_sorted_whatever_their_case() -> None:
    entries = [Entry(name, name.endswith(b"d")) for name in (b"b", b"Zd", b"A", b"C", b"yd", b"a")]
    links = [href for href, _ in Page(listing_page([], Listing(entries))).links]
    assert links == ["yd/", "Zd/", "A", "a", "b", "C"]


def test_a_listing_shows_size_and_time_and_the_way_up() -> None:
    page = listing_page([b"a", b"b"], Listing([Entry(b"f", False, 1234, "2024-01-02 03:04")]))
    assert b"1.2 kB" in page
    assert b"2024-01-02 03:04" in page
    assert Page(page).links == [["../", "../"], ["f", "f"]]
    assert "/a/b/" in Page(page).all_text
    assert Page(listing_page([], Listing([]))).links == []


def test_a_listing_that_is_cut_says_so() -> None:
    entries = [Entry(b"a", False), Entry(b"b", False)]
    assert "Only 2 of the names" in Page(listing_page([], Listing(entries, cut=True))).all_text
    assert "Only" not in Page(listing_page([], Listing(entries))).all_text


@given(st.text())
def test_who_is_connected_is_shown_as_text_whatever_it_is_called(name: str) -> None:
    page = Page(listing_page([], Listing([]), [(name, 3725.9, 1000, 2500)]))
    assert page.tags <= TAGS
    assert "1:02:05" in page.all_text
    assert "1.0 kB" in page.all_text
    assert "2.5 kB" in page.all_text


def test_thousands_who_are_connected_are_counted_but_not_all_shown() -> None:
    page = listing_page([], Listing([]), [("peer", 7, 0, 0)] * 5000)
    assert b"Connected: 5000" in page
    assert page.count(b"<td>peer</td>") == MOST_CONNECTED
    assert b"0:07" in page


@given(st.text())
def test_an_escaped_text_holds_no_markup_and_nothing_that_is_not_seen(text: str) -> None:
    escaped = escape(text)
    assert not set(escaped) & set("<>\"'\x00\x1b\x7f\x9b\u202e\u2066\u200f\n\r")
    visible = [char for char in escaped if char != "\ufffd"]
    assert all(char.isprintable() or char in text for char in visible)


def test_a_right_to_left_override_cannot_disguise_a_name() -> None:
    assert "\u202e" not in Page(listing_page([], Listing([Entry("a\u202egpj.exe".encode(), False)]))).all_text


@pytest.mark.parametrize("status", [status for status, (_, sentence) in REASONS.items() if sentence])
def test_an_error_page_names_the_status_and_says_what_it_means(status: int) -> None:
    page = Page(error_page(status))
    assert f"{status} {REASONS[status][0]}" in page.all_text
    assert REASONS[status][1] in page.all_text


def test_the_policy_allows_the_style_of_the_pages_and_no_other() -> None:
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}';" in POLICY
    assert f"<style>{STYLE}</style>".encode() in error_page(404)
