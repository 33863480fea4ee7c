"""--hash: the running digest of a direction equals that of the whole, whatever the cuts.

hashlib itself is the reference. What the summary looks like on stderr is tested black box.
"""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pync.errors import USAGE, UsageFault
from pync.wire.digest import Digest


@given(st.sampled_from(["md5", "sha1", "sha256", "sha512", "blake2b", "sha3_256"]), st.lists(st.binary()))
def test_cut_anywhere_the_digest_is_that_of_the_whole(name: str, pieces: list[bytes]) -> None:
    digest = Digest(name)
    for piece in pieces:
        assert digest.see(piece) == b""
    assert digest.name == name
    assert digest.hexdigest() == hashlib.new(name, b"".join(pieces), usedforsecurity=False).hexdigest()


def test_reading_the_digest_does_not_end_it() -> None:
    digest = Digest("sha256")
    digest.see(b"one")
    digest.hexdigest()
    digest.see(b"two")
    assert digest.hexdigest() == hashlib.sha256(b"onetwo").hexdigest()


@pytest.mark.parametrize("name", ["nonesuch", "sha256 ", "-", "\udcff", "sha999"])
def test_a_name_that_hashlib_lacks_is_a_usage_error_that_names_it(name: str) -> None:
    with pytest.raises(UsageFault) as caught:
        Digest(name)
    assert caught.value.code == USAGE
    assert "--hash" in caught.value.text
    assert f"'{name}'" in caught.value.text


@pytest.mark.parametrize("name", ["shake_128", "shake_256"])
def test_a_digest_without_a_length_of_its_own_is_refused(name: str) -> None:
    with pytest.raises(UsageFault, match=f"'{name}' has no fixed length"):
        Digest(name)
