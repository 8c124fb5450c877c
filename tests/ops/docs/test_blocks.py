"""Each block of the pages that has a `service` can be copied: the producer accepts it, and its service module works."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from common.services import SERVICES, STOCK
from common.settings.load import load_settings
from producer.configuration import policy_of, read_configuration
from tests.ops.docs.test_docs import FENCE, NAMES, text_of
from tests.workers.integrations.examples import alert
from workers.integrations.helpers.service_options import ServiceOptions
from workers.integrations.registry import SERVICES as CODE
from workers.integrations.registry import make_service

if TYPE_CHECKING:
    from pathlib import Path

SERVICE = re.compile(r'^service *= *"([a-z0-9-]+)"', re.MULTILINE)
REFERENCE = re.compile(r'(\w+)( *= *)"(?:env|file):[^"]+"')
SECRETS = {"hook_url": "https://target.example/hook", "signing_secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLsZi"}
BLOCKS = [
    (f"{page.rpartition('/')[2]}:{'+'.join(dict.fromkeys(SERVICE.findall(block)))}", block)
    for page in NAMES
    for kind, block in FENCE.findall(text_of(page))
    if kind == "toml" and SERVICE.search(block) and "cookbook" not in page  # tests/e2e/test_cookbook.py checks that
]
OF_OSSEC_CONF = "<integration><name>{}</name><hook_url>https://target.example/hook</hook_url></integration>"


def with_secrets(block: str) -> str:
    """Return a block with a secret of a valid form in place of each reference to a variable or a file."""
    secrets = SECRETS | ({"hook_url": "json://target.example/hook"} if '"apprise"' in block else {})
    return REFERENCE.sub(lambda found: f'{found[1]}{found[2]}"{secrets.get(found[1], "t0ken")}"', block)


@pytest.mark.parametrize("block", [block for _, block in BLOCKS], ids=[name for name, _ in BLOCKS])
def test_a_block_to_copy_is_valid(block: str, tmp_path: Path) -> None:
    blocks = "".join(
        map(OF_OSSEC_CONF.format, set(re.findall(r"^\[integrations\.(custom-[a-z-]+)", block, re.MULTILINE)))
    )
    (tmp_path / "ossec.conf").write_text(f"<ossec_config>{blocks}</ossec_config>")
    (tmp_path / "courier.toml").write_text(with_secrets(block))
    settings = load_settings(file=None, environment={}, cwd=tmp_path, overrides={"producer.config": "ossec.conf"})
    found = read_configuration(settings)
    assert [error for refused in found.refused_blocks for error in refused.errors] == []
    for one in found.integrations:
        if one.service in CODE:
            choices = ServiceOptions(endpoint=policy_of(one, settings, found).endpoint)
            assert make_service(one, choices).build_calls(alert(syscheck={"md5_after": "4" * 32}))


def test_each_service_has_a_block_to_copy() -> None:
    assert {service for _, block in BLOCKS for service in SERVICE.findall(block)} >= SERVICES.keys() - set(STOCK)
