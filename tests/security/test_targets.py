"""Where an alert's author can send a look-up: to no other path than that of its question (issue 14.15)."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.workers.integrations.examples import alert, service
from workers.integrations.base import Refusal
from workers.transports.http import prepared

SETTINGS = {"api_key": "0123456789abcdef", "hook_url": "https://api.maltiverse.example"}


def paths(value: str) -> list[str]:
    """Return the paths of the prepared requests, as they go over the wire."""
    hostile = alert(syscheck={"md5_after": value, "sha1_after": value}, data={"srcip": value, "hostname": value})
    try:
        calls = service("maltiverse", **SETTINGS).calls(hostile)
    except Refusal:
        return []
    return [urlsplit(str(prepared(one.method, one.url, one.headers, one.params).url)).path for one in calls]


@pytest.mark.parametrize("value", [".", ".."])
def test_a_dot_segment_is_not_asked_for(value: str) -> None:
    assert paths(value) == []


@given(st.text("./%2eE\\?#;x", max_size=8))
def test_no_value_makes_a_dot_segment_of_the_prepared_url(value: str) -> None:
    for path in paths(value):
        assert not {".", ".."} & set(path.lower().replace("%2e", ".").split("/"))
