"""Dead letters for a demo that keeps running: Slack refuses some messages for good, and accepts them later."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from ops.demo.http_types import text_reply

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVICE: Final = "slack"
NUMBER: Final = 3

REFUSAL: Final = text_reply(HTTPStatus.BAD_REQUEST, "invalid_attachments", note="400, refused for good")
"""What Slack answers to a message that it cannot show: trying again would not help."""

LEVEL: Final = 10
"""Of the chosen alerts: the sample's first channel gets them, the urgent one does not."""


def new_alerts(log: bytes, now_s: float) -> Iterator[bytes]:
    """Yield NUMBER lines with alerts of `log` that happen again at `now_s`, in seconds since the epoch."""
    alerts = (alert for line in log.splitlines() if (alert := _parsed(line)).get("rule", {}).get("level") == LEVEL)
    for number, alert in zip(range(NUMBER), alerts, strict=False):
        yield json.dumps(alert | {"id": f"{now_s:.0f}.{number}"}).encode() + b"\n"


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        alert = json.loads(line)
    except (ValueError, RecursionError):  # the sample has damaged lines on purpose
        return {}
    return alert if isinstance(alert, dict) and isinstance(alert.get("rule"), dict) else {}
