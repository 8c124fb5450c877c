"""The alert that `courier test` sends: marked so that nobody takes it for an event.

It has the shape of a file integrity alert of Wazuh 4.x with the hashes of the EICAR test file, which every scanner
knows and which is harmless (EICAR, "Anti-Malware Testfile"). So one alert suits every service: chat, incident, script
and look-up. Its address is one for documentation (RFC 5737), so that nobody blocks a real one.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from workers.delivery.fallback import mark

if TYPE_CHECKING:
    from datetime import datetime

MARK: Final = "Courier test"
LEVEL: Final = 7
RULE_ID: Final = "999999"
"""No rule of Wazuh's own has it (they end at 99999), and custom rules should have 100000 to 120000 (Wazuh
documentation, "Custom rules")."""

_TEXT: Final = "an operator checks that messages arrive. Nothing happened and nothing has to be done."
_EICAR: Final = {
    "size_after": "68",
    "md5_after": "44d88612fea8a8f36de82e1278abb02f",
    "sha1_after": "3395856ce81f2b7382dee72602f798b642f14140",
    "sha256_after": "275a021bbfb6489e54d471899f7db9d1663fc695ec2fe2a2c4538aabf651fd0f",
}


def sample_alert(at: datetime, *, node: str, level: int = LEVEL) -> bytes:
    """Return the alert as a line of alerts.json; `at` has a zone, `node` is the name of the manager."""
    milliseconds = at.microsecond // 1000
    alert = {
        "timestamp": f"{at:%Y-%m-%dT%H:%M:%S}.{milliseconds:03d}{at:%z}",
        "rule": {
            "level": level,
            "description": f"{MARK}: {_TEXT}",
            "id": RULE_ID,
            "firedtimes": 1,
            "mail": False,
            "groups": ["courier", "courier_test"],
        },
        "agent": {"id": "000", "name": node},
        "manager": {"name": node},
        "id": f"{int(at.timestamp())}.{at.microsecond}",
        "full_log": f"{MARK}: {_TEXT}",
        "syscheck": {"path": "/courier-test/eicar.com", "mode": "realtime", **_EICAR, "event": "added"},
        "decoder": {"name": "courier_test"},
        "data": {"srcip": "192.0.2.1"},
        "location": "courier-test",
        "courier": {"test": True},
    }
    return json.dumps(alert).encode()


def marked_alert(raw: bytes) -> bytes:
    """Return an alert of the operator's own with MARK before its description and log, and `courier.test` in it."""
    return mark(raw, f"{MARK}: ", {"test": True})
