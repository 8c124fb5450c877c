"""Dead letters as JSON, for `courier dead list --json` and `courier dead show`."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from common.json_depth import check_depth
from ops.admin.dead_letters import detail, reason, summarize

if TYPE_CHECKING:
    from ops.admin.dead_letters import FoundLetter

_LEVEL: Final = re.compile(r"[0-9]{1,9}")
"""Bounded, because `int` raises ValueError for more than 4,300 digits. Levels of Wazuh are at most 16."""


def letter_json(found: FoundLetter) -> dict[str, Any]:
    """Return the JSON form of a letter in `list --json`; times are in ms since the epoch."""
    header = found.letter.delivery.header
    alert = summarize(found.letter)
    return {
        "integration": found.integration_id,
        "delivery": found.letter.delivery.id,
        "died_ms": found.letter.died_ms,
        "committed_ms": header.committed_ms,
        "reason": reason(found.letter),
        "detail": detail(found.letter),
        "attempts": header.attempts,
        "replays": header.replays,
        "fallback_of": None if header.fallback_of is None else msgspec.structs.asdict(header.fallback_of),
        "alert_id": alert.alert_id,
        "rule": {
            "id": alert.rule_id,
            "level": int(alert.level) if _LEVEL.fullmatch(alert.level) else None,
            "description": alert.description,
        },
        "agent": {"id": alert.agent_id, "name": alert.agent_name},
        "history": [{"at_ms": a.at_ms, "reason": a.reason, "detail": a.detail} for a in header.history],
    }


def full_letter_json(found: FoundLetter) -> dict[str, Any]:
    """Return the JSON form of a letter in `show`: that of `list --json`, the last response and the alert."""
    response = found.letter.delivery.header.response
    return letter_json(found) | {
        "response": None if response is None else msgspec.structs.asdict(response),
        "alert": alert_document(found.letter.delivery.alert),
    }


def alert_document(raw: bytes) -> Any:
    """Return the JSON value of an alert; its text if it is none, or too deeply nested."""
    try:
        check_depth(raw)
        return json.loads(raw)
    except ValueError:
        return raw.decode("utf-8", "replace")
