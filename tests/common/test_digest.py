"""Only the ledger's delivery id makes a digest, and whatever an alert says under `courier.digest` is bounded."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.digest import MAX_PARTS, MAX_TEXT_CHARS, count_in, is_digest, read_digest, window_of

GROUP = "digest:0123abcd:00112233445566778899aabbccddeeff"
ID = f"{GROUP}:1764504000000:89abcdef"
LOG_LINE = "0123456789abcdef0123:0000000000:01234567"

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@pytest.mark.parametrize(
    "made",
    [
        ID,
        f"{ID}+",
        f"{ID}+fallback:teams",
        "digest:0123abcd:others:0:00000000",
        "digest:0123abcd:held17645:others:0:00000000",
    ],
)
def test_ids_of_the_ledger(made: str) -> None:
    assert is_digest(made)


def test_what_an_id_and_a_description_say() -> None:
    assert window_of(f"{ID}+fallback:x") == (GROUP.removeprefix("digest:"), 1764504000000)
    assert (count_in(ID, "214 more: sshd"), count_in(ID, "7 more alerts"), count_in(ID, "sshd")) == (214, 7, None)
    assert (window_of("n:1"), count_in("n:1", "214 more: sshd")) == (None, None)


@pytest.mark.parametrize(
    "other",
    [
        f"digest:{LOG_LINE}",
        f"digest:a:{LOG_LINE}",
        f"node:{LOG_LINE}+{ID}",
        "digest:a",
        "digest::1",
        f"{GROUP}:1764504000000",
        f" {ID}",
        "",
        "x" * 9,
    ],
)
def test_ids_of_others_also_of_a_node_of_that_name(other: str) -> None:
    assert not is_digest(other)
    assert read_digest(other, {"courier": {"digest": {"count": 7}}}) is None


@given(
    st.fixed_dictionaries(
        {"count": st.integers(1, 9)},
        optional=dict.fromkeys(("group", "from", "to", "level", "others", "top", "samples"), anything),
    )
)
def test_a_part_that_cannot_be_read_costs_only_itself(own: dict[str, Any]) -> None:
    digest = read_digest(ID, {"courier": {"digest": own}})
    assert digest
    assert digest.count == own["count"]
    assert 0 <= digest.level <= 16


def test_every_part_is_bounded() -> None:
    long = {f"{n}{'x' * 9_000}": "y" * 9_000 for n in range(99)}
    top = {name: {"values": [["v" * 9_000, 1]] * 99} for name in long}
    own = {"count": 1, "group": long, "top": top, "samples": [{}] * 99, "from": "z" * 9_000}
    digest = read_digest(ID, {"courier": {"digest": own}})
    assert digest
    assert len(digest.group) == len(digest.tops) == len(digest.samples) == len(digest.tops[0].values) == MAX_PARTS
    texts = [digest.first, *digest.group[0], digest.tops[0].field, digest.tops[0].values[0].value]
    assert max(map(len, texts)) == MAX_TEXT_CHARS
