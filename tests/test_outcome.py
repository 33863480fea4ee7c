"""What a run comes to: the keys of the summary, what adds up, and the lines of a digest.

That each mode tells its outcome, and when it is said, is tested in cli/test_summary and cli/test_events.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from pync.outcome import Outcome, holding
from pync.serving.tally import Tally
from pync.wire.digest import Digest
from tests.running import peer

if TYPE_CHECKING:
    from pathlib import Path

KEYS = ["peer", "connections", "sent", "received", "seconds", "rate", "dropped", "hash", "error", "exit"]


def begun() -> Outcome:
    outcome = Outcome()
    outcome.begin()
    return outcome


def summary(outcome: Outcome, code: int = 0) -> dict[str, Any]:
    said = outcome.summary(code)
    assert said is not None
    return said


def hashed(data: bytes) -> Digest:
    digest = Digest("sha256")
    digest.see(data)
    return digest


def test_a_run_that_never_was_to_join_anything_has_no_summary() -> None:
    assert Outcome().summary(2) is None


def test_a_run_without_a_connection_has_a_summary_with_every_key() -> None:
    outcome = begun()
    outcome.failed("refused")
    said = summary(outcome, 1)
    assert list(said) == KEYS
    assert said == {
        "peer": None, "connections": 0, "sent": 0, "received": 0, "seconds": 0.0, "rate": 0, "dropped": 0, "hash": None,
        "error": "refused", "exit": 1,
    }  # fmt: skip


def test_sessions_add_up_and_the_last_peer_is_named() -> None:
    outcome = begun()
    outcome.met("first", ("127.0.0.1", 1))
    outcome.moved(1000, 1, 1.5)
    outcome.met("second", ("127.0.0.2", 2))
    outcome.moved(500, 2, 0.5)
    said = summary(outcome)
    assert said["peer"] == {"name": "second", "address": "127.0.0.2", "port": 2}
    assert (said["connections"], said["sent"], said["received"], said["seconds"]) == (2, 1500, 3, 2.0)
    assert said["rate"] == 752


def test_bytes_that_passed_by_unseen_are_null_and_no_zero() -> None:
    outcome = begun()
    outcome.met("peer", ("127.0.0.1", 1))
    outcome.moved(None, None, 1.0)
    assert [summary(outcome)[key] for key in ("connections", "sent", "received", "rate")] == [1, None, None, None]
    blind = begun()
    tally = Tally()
    tally.blind = True
    tally.come()
    blind.listens(tally)
    assert [summary(blind)[key] for key in ("connections", "sent", "received", "rate")] == [1, None, None, None]


def test_a_listener_with_clients_instead_of_sessions_sums_up_its_counts() -> None:
    outcome, tally = begun(), Tally()
    tally.add({"total": 3, "sent": 10, "received": 20})
    outcome.listens(tally)
    assert [summary(outcome)[key] for key in ("connections", "sent", "received")] == [3, 10, 20]
    assert outcome.words()[0] == tally.report(over=True)[0]
    assert outcome.words()[-1].startswith("sent 10 bytes, received 20 bytes in ")


def test_a_direction_without_a_byte_has_no_digest() -> None:
    outcome = begun()
    outcome.hashed([("sent", hashed(b""), None), ("received", hashed(b"x"), None)])
    assert outcome.hashes() == [f"sha256 received {hashed(b'x').hexdigest()}"]
    assert summary(outcome)["hash"] == {"name": "sha256", "sent": None, "received": hashed(b"x").hexdigest()}


@pytest.mark.parametrize("name", ["file", "a b", "b\u00fccher", "-x"])
def test_the_line_for_a_known_file_is_one_that_sha256sum_checks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / name).write_bytes(b"data")
    monkeypatch.chdir(tmp_path)
    outcome = begun()
    outcome.hashed([("sent", hashed(b"data"), holding([str(tmp_path / name)], 4))])
    (line,) = outcome.hashes()
    assert line.endswith(f"  {name}")
    subprocess.run([peer("sha256sum"), "--strict", "-c"], input=line.encode(), check=True, cwd=tmp_path)


@pytest.mark.parametrize("name", ["new\nline", "back\\slash", "gone"])
def test_a_file_that_cannot_be_named_or_is_of_another_length_is_none(tmp_path: Path, name: str) -> None:
    if name != "gone":
        (tmp_path / name).write_bytes(b"data")
    (tmp_path / "longer").write_bytes(b"data and more")
    assert holding([None, str(tmp_path / name), str(tmp_path / "longer"), "/dev/null"], 4) is None
