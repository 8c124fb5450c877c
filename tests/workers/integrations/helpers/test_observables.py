from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.integrations.helpers.observables import MAX_OBSERVABLES, Kind, observables

MD5, SHA1, SHA256 = "44D88612FEA8A8F36DE82E1278ABB02F", "3395856ce81f2b7382dee72602f798b642f14140", "a" * 64


def found(fields: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one.kind.value, one.value) for one in observables(fields)]


def test_each_place_gives_its_kind() -> None:
    event = {"ipAddress": "::ffff:10.0.0.1", "hashes": f"MD5={MD5},SHA256={SHA256.upper()}", "targetUserName": "eve"}
    fields = {
        "syscheck": {"sha1_after": SHA1},
        "data": {
            "srcip": "192.0.2.7",
            "dest_ip": "2001:db8::1",
            "url": "https://evil.example/x?y",
            "dns": {"query": [{"rrname": "Evil.Example."}]},
            "win": {"eventdata": event},
        },
    }
    assert found(fields) == [
        ("srcip", "192.0.2.7"),
        ("srcip", "10.0.0.1"),
        ("dstip", "2001:db8::1"),
        ("sha1", SHA1),
        ("md5", MD5.lower()),
        ("sha256", SHA256),
        ("url", "https://evil.example/x?y"),
        ("domain", "evil.example"),
        ("user", "eve"),
    ]


@pytest.mark.parametrize(
    "data",
    [
        *({"srcip": value} for value in ("-", "127.0.0.1", "::", "10.0.0.256", "fe80::1%eth0", 7, ["10.0.0.1"])),
        *(
            {"url": value}
            for value in ("/index.php", "javascript:alert(1)", "https://", "http://a b", "http://" + "x" * 2_000)
        ),
        *({"tls": {"sni": value}} for value in ("localhost", "a..b", "x" * 300, "evil.example/x", "10.0.0.1")),
        *({"srcuser": value} for value in ("-", "", " ", "x" * 101)),
        {"dns": {"query": []}},
        {"win": {"eventdata": {"hashes": "MD5=12"}}},
    ],
)
def test_what_is_not_what_its_place_promises_is_left_out(data: dict[str, Any]) -> None:
    assert found({"data": data}) == []


def test_a_value_is_named_once() -> None:
    assert found({"data": {"srcuser": "eve", "dstuser": "eve"}}) == [("user", "eve")]


JSON = st.recursive(
    st.none() | st.text(max_size=20) | st.integers() | st.sampled_from(["10.0.0.1", MD5, "http://a.example"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["srcip", "url", "win", "eventdata", "hashes", "dns", "query", "rrname"]), inner
        )
    ),
    max_leaves=15,
)


@given(JSON, JSON)
def test_any_alert_gives_few_and_clean_values(data: Any, syscheck: Any) -> None:
    seen = observables({"data": data, "syscheck": syscheck})
    assert len(seen) <= MAX_OBSERVABLES
    assert len({(one.kind, one.value) for one in seen}) == len(seen)
    for one in seen:
        assert one.kind in Kind
        assert one.value.isprintable()
        json.dumps(one.value)
