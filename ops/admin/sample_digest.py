"""A digest made of one alert, which shows an operator what a service gets. It says that COUNT such alerts were folded.

It has the shape of the ledger's digests (`common/ledger/digests.lua`).
"""

from __future__ import annotations

from typing import Any, Final

from common.conditions.fields import values_at
from common.conditions.values import text_of
from common.digest import PREFIX
from common.errors import CourierError
from common.exact_json import write_json
from common.settings.digest import Digest, path_of
from workers.alert.alert import Alert
from workers.integrations.helpers.text_limits import truncate

COUNT: Final = 214
"""The alerts that a sample says were folded."""

MAX_TEXT_CHARS: Final = 1_000

SAMPLE_ID: Final = f"{PREFIX}{'0' * 8}:{'0' * 32}:0:{'0' * 8}"
"""The delivery id; the ledger never makes this one."""

_KEPT: Final = ("agent", "manager", "decoder", "location")
_SAMPLED: Final = ("id", "timestamp", "rule", "agent", "location", "full_log", "data", "syscheck")


def sample_digest(raw: bytes, terms: Digest | None = None) -> Alert:
    """Return a digest of COUNT alerts like this one, by an integration's terms. Raises CourierError if it is no alert.

    Without terms, they are those of an empty section `digest`.
    """
    terms = terms or Digest()
    try:
        fields = Alert(raw).fields
    except ValueError as error:
        raise CourierError(f"no digest can be made of it: {error}") from None
    when, rule = fields.get("timestamp"), fields.get("rule")
    rule = rule if isinstance(rule, dict) else {}
    description = text_of(rule.get("description", "")) or ""
    tops = {name: value for name in terms.top if (value := _value(fields, name))}
    digest: dict[str, Any] = {
        "id": SAMPLE_ID,
        "group": {name: _value(fields, name) for name in terms.by},
        "others": False,
        "count": COUNT,
        "from": when,
        "to": when,
        "first_id": fields.get("id"),
        "last_id": fields.get("id"),
        "level": rule.get("level"),
        "window": {"from": when, "to": when},
        "top": {name: {"values": [[value, COUNT]], "approximate": False} for name, value in tops.items()},
        "samples": [{name: _short(fields[name]) for name in _SAMPLED if name in fields}][: terms.samples],
    }
    alert: dict[str, Any] = {
        "timestamp": when,
        "id": fields.get("id"),
        "rule": {**rule, "description": f"{COUNT} more: {description}" if description else f"{COUNT} more alerts"},
        **{name: fields[name] for name in _KEPT if name in fields},
        "courier": {"digest": digest},
    }
    try:
        return Alert(write_json(alert).encode(), SAMPLE_ID)
    except ValueError as error:
        raise CourierError(f"no digest can be made of it: {error}") from None


def _value(fields: dict[str, Any], name: str) -> str:
    found = (text_of(value) for value in values_at(fields, path_of(name)))
    return next((_short(text) for text in found if text), "")


def _short(value: Any) -> Any:
    return truncate(value, MAX_TEXT_CHARS)
