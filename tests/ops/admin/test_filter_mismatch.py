from __future__ import annotations

import pytest

from common.integration import Integration
from ops.admin.filter_mismatch import mismatches

ALERT = b'{"rule":{"level":5,"id":"5710"},"agent":{"name":"web01"}}'
NAMES = {"noisy": ["rule.id = 5710, 5715"]}


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ('{"level":"10","id":"5710"}', '<level> requires 7 or more, the alert has "10", a text and no number'),
        ('{"level":10,"id":5710}', "<rule_id> requires 5710, the alert has 5710, no text"),
        ('{"level":10}', "<rule_id> requires 5710, the alert has none"),
    ],
)
def test_a_value_of_the_wrong_type_is_named_as_such(rule: str, reason: str) -> None:
    integration = Integration(id="a", name="custom-a", level=7, rule_ids=(5710,))
    assert mismatches(integration, f'{{"rule":{rule}}}'.encode(), {}) == [reason]


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
