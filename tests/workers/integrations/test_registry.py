from __future__ import annotations

import pytest

from common.integration import Integration
from common.outcome import Reason, Rejected
from common.registry.entries import MANAGER
from common.services import SERVICES as DECLARED
from common.services import STOCK
from tests.workers.integrations.every_service import SETTINGS
from tests.workers.integrations.examples import alert, refusal
from workers.integrations.manager import Manager
from workers.integrations.registry import SERVICES, make_service


def test_every_declared_service_has_code_and_is_in_the_tests_of_all_services() -> None:
    assert set(SERVICES) == set(DECLARED) == set(SETTINGS)
    assert set(STOCK) <= set(SERVICES)
    assert isinstance(make_service(MANAGER), Manager)


@pytest.mark.parametrize("name", ["Slack", "slack.py", "no-such-service", ""])
def test_an_unknown_name_is_rejected_with_file_and_line(name: str) -> None:
    outcome = refusal(name, alert())
    assert outcome == Rejected(Reason.NOT_CONFIGURED, "ossec.conf:7: <name>: there is no such integration")


def test_a_block_named_manager_is_not_the_manager() -> None:
    assert not isinstance(make_service(Integration(id="manager-2", name="manager")), Manager)
