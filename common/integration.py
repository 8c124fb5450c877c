"""An integration: one `<integration>` block of ossec.conf, as the rest of Courier sees it."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from common.secret import Secret

MANAGER_ID: Final = "manager"
"""The built-in integration whose deliveries are events for the manager's own queue socket."""

SCRIPT_PREFIX: Final = "custom-"
"""Names that start with it are scripts of the user's own (spec 1.3)."""


class Kind(StrEnum):
    """Which sort of worker serves an integration."""

    HTTP = "http"
    SCRIPT = "script"
    MANAGER = "manager"


class Integration(msgspec.Struct, frozen=True, kw_only=True):
    """One block, validated. Texts are verbatim; defaults and meanings as in spec 1.3.

    `id` is the stable identity: the name, or the name and a suffix where several blocks share it.
    `level` 0 is no filter. `rule_ids` is None for no filter, and empty for a filter that nothing passes (spec 1.5).
    `event_location` is the sregex pattern as written, a leading `!` included. `timeout_s` and `retries` are
    handed to scripts. `line` is where the block begins in `file`, counted from 1.
    """

    id: str
    name: str
    hook_url: Secret | None = None
    api_key: Secret | None = None
    level: int = 0
    rule_ids: tuple[int, ...] | None = None
    group: str | None = None
    event_location: str | None = None
    alert_format: str | None = None
    max_log: int = 165
    options: Secret | None = None
    timeout_s: int = 10
    retries: int = 3
    file: str = ""
    line: int = 0

    @property
    def kind(self) -> Kind:
        """Which sort of worker serves it."""
        if self.id == MANAGER_ID:
            return Kind.MANAGER
        return Kind.SCRIPT if self.name.startswith(SCRIPT_PREFIX) else Kind.HTTP

    @property
    def wants_json(self) -> bool:
        """Whether a script gets the alert as JSON: the format *starts with* `json` (spec 1.3)."""
        return (self.alert_format or "").startswith("json")
