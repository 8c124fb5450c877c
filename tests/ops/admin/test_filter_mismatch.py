from __future__ import annotations

import pytest

from common.integration import Integration
from ops.admin.filter_mismatch import mismatches

ALERT = b'{"rule":{"level":5,"id":"5710"},"agent":{"name":"web01"}}'
NAMES = {"noisy": ["rule.id = 5710, 5715"]}


@pytest.mark.parametrize(
    ("only", "without", "reasons"),
    [
        ((), (), []),
        (("agent.name = web*",), ("agent.name = build-*",), []),
        (
            ("agent", "rule.id = 5710 and agent.name = build-*", "data.srcip"),
            (),
            ['only requires agent.name = build-*: saw "web01"', "only requires data.srcip: saw nothing"],
        ),
        ((), ("@noisy and rule.level < 7",), ["except excludes @noisy and rule.level < 7: string 1 of 1 holds; saw 5"]),
    ],
)
def test_conditions_that_exclude_an_alert_are_named(
    only: tuple[str, ...], without: tuple[str, ...], reasons: list[str]
) -> None:
    assert mismatches(Integration(id="a", name="custom-a", only=only, except_=without), ALERT, NAMES) == reasons
    filtered = Integration(id="a", name="custom-a", only=only, except_=without, level=7)
    assert mismatches(filtered, ALERT, NAMES) == ["<level> requires 7 or more, the alert has 5", *reasons]
