from __future__ import annotations

import re
from itertools import permutations

import pytest

from producer.ossec_conf.integration_ids import MAX_ID_CHARACTERS, IdSource, assign_ids, check_id


def claim(name: str, wanted: str | None = None, **settings: str) -> IdSource:
    return IdSource.of([("name", name), *settings.items()], wanted)


SUFFIX = "-[0-9a-f]{6}"


def test_id_of_a_unique_name_is_the_name() -> None:
    assert assign_ids([claim("slack"), claim("custom-a b/ü")]) == ["slack", "custom-a_b__"]


def test_equal_names_differ_by_credentials_and_not_by_filters() -> None:
    before = assign_ids([claim("slack", hook_url="1", level="3"), claim("slack", hook_url="2")])
    after = assign_ids([claim("slack", hook_url="2", group="x"), claim("slack", level="7", hook_url="1")])
    assert before == after[::-1]
    assert all(re.fullmatch(f"slack{SUFFIX}", str(name)) for name in before)
    assert len(set(before)) == 2


def test_equal_credentials_differ_by_all_settings() -> None:
    claims = [claim("slack", hook_url="1", level=level) for level in "34"] + [claim("slack", hook_url="2")]
    ids: dict[IdSource, str | None] = {}
    for order in permutations(claims):
        for one, name in zip(order, assign_ids(order), strict=True):
            assert ids.setdefault(one, name) == name
    assert len(set(ids.values())) == 3


def test_identical_blocks_are_numbered() -> None:
    first, second, third = assign_ids([claim("slack", hook_url="1")] * 3)
    assert (second, third) == (f"{first}-2", f"{first}-3")


def test_names_with_equal_slugs_count_as_equal() -> None:
    ids = assign_ids([claim("custom-a b"), claim("custom-a/b")])
    assert all(re.fullmatch(f"custom-a_b{SUFFIX}", str(name)) for name in ids)
    assert len(set(ids)) == 2


def test_explicit_id_is_kept_and_not_assigned_to_another() -> None:
    ids = assign_ids([claim("slack"), claim("custom-a", "slack"), claim("slack", "soc"), claim("x", "soc")])
    assert ids[1:] == ["slack", "soc", None]
    assert re.fullmatch(f"slack{SUFFIX}", str(ids[0]))


def test_explicit_id_that_looks_derived_is_avoided() -> None:
    shared = [claim("slack", hook_url="1")] * 2
    derived = str(assign_ids(shared)[0])
    assert assign_ids([claim("x", derived), *shared]) == [derived, f"{derived}-2", f"{derived}-3"]


def test_long_names_leave_room_for_the_suffix() -> None:
    ids = assign_ids([claim(f"custom-{'a' * 99}{end}") for end in "xyy"])
    assert len(set(ids)) == 3
    assert all(name and len(name) <= MAX_ID_CHARACTERS for name in ids)


@pytest.mark.parametrize("text", ["soc", "A-1_b.c", "x" * 64, "0"])
def test_ids(text: str) -> None:
    check_id(text)


@pytest.mark.parametrize("text", ["", "a b", "é", "x" * 65, "-v", ".", "a\n", "{a}", "manager", "default", "version"])
def test_bad_ids(text: str) -> None:
    with pytest.raises(ValueError, match=r"is (not an id|reserved): write"):
        check_id(text)
