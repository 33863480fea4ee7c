"""The operands of the command line: every spelling of a host, a port and a path, and every refusal.

A table of words in, target out; plus properties of ports over the whole range and over arbitrary
text. Whether a name or a service exists is `net.resolve`'s business.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pync.errors import USAGE, UsageFault
from pync.wire.address import is_number, join_host_port, parse_ports, split_host_port, strip_brackets, target, targets
from tests.plans import planned

PORTS = st.integers(0, 65535)


def fault(words: list[str], **plan: Any) -> str:
    """The text of the usage error that these operands are."""
    with pytest.raises(UsageFault) as caught:
        target(planned(words, **plan))
    assert caught.value.code == USAGE
    assert len(caught.value.text.splitlines()) == 1
    return caught.value.text


@pytest.mark.parametrize(
    ("words", "host", "ports"),
    [
        (["example.com", "80"], "example.com", [80]),
        (["127.0.0.1", "http"], "127.0.0.1", ["http"]),
        (["::1", "80"], "::1", [80]),
        (["[::1]", "80"], "::1", [80]),
        (["fe80::1%eth0", "80"], "fe80::1%eth0", [80]),
        (["[fe80::1%eth0]", "80"], "fe80::1%eth0", [80]),
        (["example.com:80"], "example.com", [80]),
        (["example.com:ssh"], "example.com", ["ssh"]),
        (["example.com:20-22,80"], "example.com", [20, 21, 22, 80]),
        (["[::1]:80"], "::1", [80]),
        (["[fe80::1%eth0]:80"], "fe80::1%eth0", [80]),
        (["h", "20-22"], "h", [20, 21, 22]),
        (["h", "22,80,443"], "h", [22, 80, 443]),
        (["h", "22", "80", "443"], "h", [22, 80, 443]),
        (["h", "22,80", "100-101", "ssh"], "h", [22, 80, 100, 101, "ssh"]),
        (["h", "80-80"], "h", [80]),
        (["h", "0"], "h", [0]),
        (["h", "65535"], "h", [65535]),
        (["h", "00080"], "h", [80]),
        (["h", "http-alt"], "h", ["http-alt"]),
        (["h", "3com-tsmux"], "h", ["3com-tsmux"]),
    ],
)
def test_what_a_client_is_told_to_connect_to(words: list[str], host: str, ports: list[int | str]) -> None:
    found = target(planned(words))
    assert (found.host, found.ports, found.path) == (host, ports, None)


@pytest.mark.parametrize(
    ("words", "plan", "host", "port"),
    [
        (["10000"], {}, None, 10000),
        (["0"], {}, None, 0),
        (["http"], {}, None, "http"),
        (["127.0.0.1", "10000"], {}, "127.0.0.1", 10000),
        (["localhost:10000"], {}, "localhost", 10000),
        (["::1", "10000"], {}, "::1", 10000),
        (["[::1]:10000"], {}, "::1", 10000),
        ([], {"source_port": "10000"}, None, 10000),
        (["127.0.0.1"], {"source_port": "10000"}, "127.0.0.1", 10000),
        (["::1"], {"source_port": "10000"}, "::1", 10000),
        (["10000"], {"source": "127.0.0.1"}, "127.0.0.1", 10000),
        (["10000"], {"source": "[::1]"}, "::1", 10000),
        ([], {"source": "127.0.0.1", "source_port": "10000"}, "127.0.0.1", 10000),
    ],
)
def test_where_a_listener_is_told_to_listen(
    words: list[str], plan: dict[str, str], host: str | None, port: int | str
) -> None:
    found = target(planned(words, listen=True, **plan))
    assert (found.host, found.ports, found.path) == (host, [port], None)


@pytest.mark.parametrize("listen", [False, True])
@pytest.mark.parametrize("path", ["/tmp/socket", "socket", "@abstract", "host:80", "a b", "/a@b", "80"])
def test_with_a_unix_socket_the_operand_is_a_path_and_nothing_else(path: str, listen: bool) -> None:
    found = target(planned([path], unix=True, listen=listen))
    assert (found.host, found.ports, found.path) == (None, [], path)


@pytest.mark.parametrize("words", [[], ["a", "b"], [""], ["@"]])
def test_a_unix_socket_without_exactly_one_path_is_refused(words: list[str]) -> None:
    assert "path" in fault(words, unix=True)


@pytest.mark.parametrize(
    ("words", "bad"),
    [
        (["h", "65536"], "65536"),
        (["h", "99999999999999999999"], "99999999999999999999"),
        (["h:65536"], "65536"),
        (["[::1]:65536"], "65536"),
        (["h", "65530-65536"], "65536"),
        (["h", "22,65616"], "65616"),
        (["h", "22", "80", "70000"], "70000"),
        (["h", "30-20"], "30-20"),
        (["h", "21-20"], "21-20"),
        (["h", "-1"], "-1"),
        (["h", "+80"], "+80"),
        (["h", "8.0"], "8.0"),
        (["h", "80 "], "80 "),
        (["h", " 80"], " 80"),
        (["h", "8_0"], "8_0"),
        (["h", "٨٠"], "٨٠"),
        (["h", "\uff18\uff10"], "\uff18\uff10"),
        (["h", "8²"], "8²"),
        (["h", "20-\uff13\uff10"], "20-\uff13\uff10"),
        (["h", "20-"], "20-"),
        (["h", "-20"], "-20"),
        (["h", "20-30-40"], "20-30-40"),
        (["h", "-"], "-"),
        (["h", ""], ""),
        (["h", "22,"], ""),
        (["h", ",22"], ""),
        (["h:"], ""),
        (["h", "straße"], "straße"),
        (["h", "80\n"], "80\n"),
    ],
)
def test_a_bad_port_is_named(words: list[str], bad: str) -> None:
    with pytest.raises(UsageFault) as caught:
        target(planned(words))
    assert f"'{bad}'" in caught.value.text


@pytest.mark.parametrize("bad", ["65536", "30-20", "-1", "+80", "8.0", "٨٠", "\uff18\uff10", "20-", "", "straße"])
@pytest.mark.parametrize("host", [[], ["localhost"], ["::1"]])
def test_a_bad_port_to_listen_on_is_named(host: list[str], bad: str) -> None:
    for found in (planned([*host, bad], listen=True), planned(host, listen=True, source_port=bad)):
        with pytest.raises(UsageFault) as caught:
            target(found)
        assert f"'{bad}'" in caught.value.text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "missing operands"),
        (["example.com"], "missing port behind host 'example.com'"),
        (["::1"], "missing port behind host '::1'"),
        (["[::1]"], "missing port behind host '[::1]'"),
        (["[::1]80"], "missing port behind host '[::1]80'"),
        (["", "80"], "host may not be empty"),
        (["[]", "80"], "host may not be empty"),
        ([":80"], "host may not be empty"),
        (["[]:80"], "host may not be empty"),
    ],
)
def test_operands_that_are_no_host_and_port_are_refused(words: list[str], said: str) -> None:
    assert said in fault(words)


@pytest.mark.parametrize(
    ("words", "plan", "said"),
    [
        ([], {}, "missing port"),
        ([], {"source": "127.0.0.1"}, "'127.0.0.1'"),
        (["a", "80", "81"], {}, "'a' and '80' and '81'"),
        (["a", "80"], {"source_port": "81"}, "'80' and -p '81'"),
        (["80"], {"source_port": "81"}, "'80' and -p '81'"),
        (["a", "b"], {"source_port": "81"}, "'a' and 'b' and '81'"),
        (["a", "80"], {"source": "b"}, "'b' and 'a' and '80'"),
        (["20-30"], {}, "'20-30': -l takes one port"),
        (["22,80"], {}, "'22,80': -l takes one port"),
        ([], {"source_port": "20-30"}, "'20-30': -l takes one port"),
        ([], {"source_port": "65536"}, "'65536'"),
    ],
)
def test_a_listener_takes_one_address_and_one_port(words: list[str], plan: dict[str, str], said: str) -> None:
    assert said in fault(words, listen=True, **plan)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["h", "80"], [("h", [80])]),
        (["h:80"], [("h", [80])]),
        (["h", "80", "81-82"], [("h", [80, 81, 82])]),
        (["::1", "80"], [("::1", [80])]),
        (["h:80", "i:81"], [("h", [80]), ("i", [81])]),
        (["h:80", "h:81"], [("h", [80]), ("h", [81])]),
        (["db:5432", "[::1]:20-22,80", "[fe80::1%eth0]:ssh"], [
            ("db", [5432]), ("::1", [20, 21, 22, 80]), ("fe80::1%eth0", ["ssh"])
        ]),
    ],
)  # fmt: skip
def test_a_probe_has_a_target_or_several_written_as_one_word_each(
    words: list[str], expected: list[tuple[str, list[int | str]]]
) -> None:
    assert [(found.host, found.ports) for found in targets(planned(words, zero=True))] == expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["/run/x"], ["/run/x"]),
        (["unix:x"], ["x"]),
        (["unix:@x", "h:80", "a/5"], ["@x", "h", "a/5"]),
        (["./5", "fe/7"], ["./5", "fe/7"]),
        (["a,b", "80"], ["a", "b"]),
        (["192.0.2.5/31", "80"], ["192.0.2.4", "192.0.2.5"]),
        (["[2001:db8::/127]:80", "h:80"], ["2001:db8::", "2001:db8::1", "h"]),
        (["h,192.0.2.7/32:80"], ["h", "192.0.2.7"]),
    ],
)
def test_a_probe_takes_paths_and_lists_and_blocks_of_hosts(words: list[str], expected: list[str]) -> None:
    assert [found.name for found in targets(planned(words, zero=True))] == expected


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "missing operands"),
        (["h"], "missing port behind host 'h'"),
        (["h:80", "i:65536"], "'65536'"),
        (["h:80", ":81"], "host may not be empty"),
        (["h:80", "i:"], "''"),
        (["h", "i:80"], "'i:80'"),
        (["./p", "80"], "'./p' is a path"),
        (["unix:"], "may not be empty"),
        (["h,", "80"], "host may not be empty"),
        (["192.0.2.0/33", "80"], "'192.0.2.0/33' is no block"),
        (["192.0.0.0/15", "80"], "131072 addresses, and at most 65536"),
        (["192.0.0.0/16,h", "80"], "more than 65536 hosts"),
        (["192.0.0.0/16:80", "h:80"], "more than 65536 hosts"),
    ],
)
def test_the_targets_of_a_probe_are_refused_like_a_single_one(words: list[str], said: str) -> None:
    with pytest.raises(UsageFault) as caught:
        targets(planned(words, zero=True))
    assert said in caught.value.text


@given(st.lists(st.tuples(st.sampled_from(["h", "127.0.0.1", "::1", "fe80::1%eth0"]), PORTS), min_size=1, max_size=6))
def test_any_number_of_hosts_with_their_ports_come_apart_again(pairs: list[tuple[str, int]]) -> None:
    found = targets(planned([join_host_port(host, port) for host, port in pairs], zero=True))
    assert [(each.host, each.ports) for each in found] == [(host, [port]) for host, port in pairs]


@given(PORTS)
def test_every_port_is_read_as_the_number_it_says(port: int) -> None:
    assert parse_ports(str(port)) == [port]


@given(st.integers(65536, 10**30))
def test_no_number_above_the_highest_port_wraps(number: int) -> None:
    with pytest.raises(UsageFault, match=f"'{number}'"):
        parse_ports(str(number))


def test_a_port_of_more_digits_than_python_converts_is_refused_like_any_other() -> None:
    with pytest.raises(UsageFault, match="is not in 0 to 65535"):
        parse_ports("9" * 5000)


@given(PORTS, PORTS)
def test_a_range_holds_its_ends_and_all_between_or_runs_backwards(low: int, high: int) -> None:
    if low <= high:
        assert parse_ports(f"{low}-{high}") == list(range(low, high + 1))
    else:
        with pytest.raises(UsageFault, match=f"'{low}-{high}' runs backwards"):
            parse_ports(f"{low}-{high}")


@given(st.lists(PORTS, min_size=1, max_size=20))
def test_a_list_keeps_its_order_and_its_repetitions(ports: list[int]) -> None:
    assert parse_ports(",".join(map(str, ports))) == ports


@given(st.text(st.sampled_from("0123456789-,:[]azAZ.+_/ \0٣\uff18²é\ud800"), max_size=12))
def test_arbitrary_words_are_ports_or_a_usage_error(word: str) -> None:
    try:
        ports = parse_ports(word)
    except UsageFault as refused:
        assert "port" in refused.text
    else:
        assert all(0 <= port <= 65535 if isinstance(port, int) else port.isascii() for port in ports)


@given(
    st.lists(st.text(st.sampled_from("0123456789-,:[]a.%@ é"), max_size=8), max_size=4), st.booleans(), st.booleans()
)
def test_arbitrary_operands_are_a_target_or_a_usage_error(words: list[str], listen: bool, unix: bool) -> None:
    try:
        found = target(planned(words, listen=listen, unix=unix))
    except UsageFault:
        return
    assert found.path if unix else found.ports
    assert unix or listen or found.host


@given(st.sampled_from(["example.com", "127.0.0.1", "::1", "fe80::1%eth0"]), PORTS)
def test_host_and_port_in_one_word_come_apart_again(host: str, port: int) -> None:
    parts = split_host_port(join_host_port(host, port))
    assert (strip_brackets(parts[0]), parse_ports(parts[1])) == (host, [port])


@pytest.mark.parametrize("text", ["", "-1", "+1", "1.0", " 1", "٣", "\uff13", "²", "1_0", "0x1"])
def test_only_ascii_digits_are_a_number(text: str) -> None:
    assert not is_number(text)
    assert is_number("0123456789")
