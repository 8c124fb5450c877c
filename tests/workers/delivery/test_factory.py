from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from common.integration import MANAGER_ID, Integration
from common.outcome import Delivered, Reason, Retry
from common.secret import Secret
from common.settings.load import load_settings
from workers.alert.alert import Alert
from workers.delivery import factory as outfits
from workers.delivery.factory import build_service
from workers.transports.http.transport import HttpTransport
from workers.transports.manager_socket import ManagerSocket
from workers.transports.script.transport import ScriptTransport
from workers.transports.threads import InThreads

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("block", "kind"),
    [
        (Integration(id="slack", name="slack"), HttpTransport),
        (Integration(id=MANAGER_ID, name="manager"), ManagerSocket),
        (Integration(id="custom-x-2", name="custom-x"), ScriptTransport),
    ],
)
def test_kind_determines_the_transport(
    block: Integration, kind: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outfits, "make_service", lambda integration, _choices, **_: integration)
    settings = load_settings(file=None, environment={}, cwd=tmp_path)
    service: Any  # the block itself
    service, transport = build_service(block, settings.policy(block), settings.worker)
    assert service is block
    assert isinstance(transport.transport if isinstance(transport, InThreads) else transport, kind)


@pytest.mark.parametrize(
    ("command", "outcome"),
    [
        ('grep -q 5710 "$1"', Delivered()),
        ('echo "no key in $2"; exit 9', Retry(Reason.SCRIPT_FAILED, "exit status 9: no key in ********")),
    ],
)
def test_custom_script_from_alert_to_outcome(tmp_path: Path, command: str, outcome: object) -> None:
    script = tmp_path / "integrations" / "custom-x"
    script.parent.mkdir()
    script.write_text(f"#!/bin/sh\n{command}\n", encoding="utf-8")
    script.chmod(0o550)
    settings = load_settings(file=None, environment={}, cwd=tmp_path)
    worker = msgspec.structs.replace(
        settings.worker, wazuh_home=tmp_path, integrations_dir=script.parent, script_temp_dir=tmp_path / "private"
    )
    block = Integration(id="custom-x", name="custom-x", api_key=Secret("s3cret"))
    service, transport = build_service(block, settings.policy(block), worker)
    alert = Alert(b'{"rule":{"id":"5710"}}')
    (call,) = service.build_calls(alert)
    assert service.interpret(alert, call, asyncio.run(transport.send(call))) == outcome
    assert not any(files for _, _, files in os.walk(tmp_path / "private"))
