"""The keys of `[integrations.ID]` that say what an integration is: its service, its credential and what it takes.

The others of the table are its policy (`schema.Policy`). The stock keys mean what they mean in an `<integration>` block
(spec 1.3). They belong to one integration: `default` and patterns can't have them.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Final

import msgspec

from common.secret import MASK, Secret
from common.settings.schema import INTEGRATIONS, Key, NameOverrides, keys_of
from common.settings.secret_values import is_reference
from common.settings.values import Reader, integer, integers, quoted, require_non_empty
from common.windows import HOLD_FORM, WINDOW_FORM, Hold, parse_hold, parse_window, show_hold, show_window

_HIGHEST_LEVEL: Final = 16


def secret_or_reference() -> Reader[Secret]:
    """Read a secret, `env:NAME` or `file:PATH`. Only the latter two are displayed."""

    def show(value: Secret) -> str:
        return value.reveal() if is_reference(value.reveal()) else MASK

    return Reader('the text itself, "env:NAME" or "file:PATH"', lambda raw: Secret(require_non_empty(raw)), show)


def non_empty() -> Reader[str]:
    """Read a text that is not empty."""
    return Reader("a text", require_non_empty, str)


def texts() -> Reader[tuple[str, ...]]:
    """Read a list of texts, of which none is empty; a single text counts as a list of one."""

    def parse(raw: object) -> tuple[str, ...]:
        items = [raw] if isinstance(raw, str) else raw
        if not isinstance(items, list):
            raise ValueError(f"{quoted(raw)} is not a list")  # noqa: TRY004 — one kind of bad input
        return tuple(map(require_non_empty, items))

    return Reader("a list of texts", parse, list)


def group() -> Reader[str]:
    """Read a list of groups, or a text with commas as in ossec.conf."""

    def parse(raw: object) -> str:
        value = ",".join(texts().parse(raw))
        if not value:
            raise ValueError("the list is empty")
        return value

    return Reader('a text such as "sshd,authentication_failed", or a list of texts', parse, str)


def rule_ids() -> Reader[tuple[int, ...]]:
    """Read a rule's number, a list of them, or a text with commas."""

    def parse(raw: object) -> tuple[int, ...]:
        numbers = integers(1, 2**32 - 1).parse([raw] if isinstance(raw, int) else raw)
        if not numbers:
            raise ValueError("the list is empty")
        return numbers

    return Reader('a rule\'s number, a list such as [5710, 5712], or a text such as "5710,5712"', parse, list)


def options() -> Reader[Secret]:
    """Read JSON: a text that holds it, or a table."""

    def parse(raw: object) -> Secret:
        if not isinstance(raw, dict):
            return Secret(require_non_empty(raw))
        try:
            return Secret(json.dumps(raw, ensure_ascii=False))
        except TypeError:
            raise ValueError("the table (not shown) holds a date or time, which JSON does not have") from None

    return Reader("a table, or a text with JSON", parse, str)


HOLD: Final = Reader(HOLD_FORM, parse_hold, show_hold)


class Definition(msgspec.Struct, frozen=True, kw_only=True):
    """What a table says of its integration; None for what it does not say."""

    service: Annotated[str | None, non_empty()] = None
    hook_url: Annotated[Secret | None, secret_or_reference()] = None
    api_key: Annotated[Secret | None, secret_or_reference()] = None
    level: Annotated[int | None, integer(0, _HIGHEST_LEVEL)] = None
    rule_id: Annotated[tuple[int, ...] | None, rule_ids()] = None
    group: Annotated[str | None, group()] = None
    event_location: Annotated[str | None, non_empty()] = None
    only: Annotated[tuple[str, ...] | None, texts()] = None
    except_: Annotated[tuple[str, ...] | None, texts(), NameOverrides(key="except")] = None
    hold: Annotated[Hold | None, HOLD] = None
    options: Annotated[Secret | None, options()] = None
    alert_format: Annotated[str | None, non_empty()] = None
    max_log: Annotated[int | None, integer(165, 1024)] = None
    timeout: Annotated[int | None, integer(0, 2**31 - 1)] = None
    retries: Annotated[int | None, integer(0, 2**31 - 1)] = None


DEFINITION_KEYS: Final[dict[str, Key]] = dict(keys_of(Definition, INTEGRATIONS, "ID"))

CONDITIONS: Final = "conditions"
"""The section of named conditions."""

CONDITION_LIST: Final = Key("", "", texts(), "", "")

WINDOWS: Final = "windows"
"""The section of windows."""

WINDOW: Final = Key("", "", Reader(WINDOW_FORM, parse_window, show_window), "", "")

NAMED: Final = {CONDITIONS: CONDITION_LIST, WINDOWS: WINDOW}
"""The sections whose keys are names that the operator chooses, and the reader of their values."""


def is_pattern(table: str) -> bool:
    """Return whether a table under `[integrations]` stands for several integrations."""
    return any(letter in table for letter in "*?[")


def definition(fields: dict[str, Any]) -> Definition:
    """Return the definition in the parsed fields of a table, which also has a policy."""
    return Definition(**{key.field: fields[key.field] for key in DEFINITION_KEYS.values() if key.field in fields})
