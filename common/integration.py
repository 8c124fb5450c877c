"""The integration: one validated `<integration>` block of ossec.conf, or table of courier.toml."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from common.secret import Secret
from common.windows import Hold

MANAGER_ID: Final = "manager"
"""Id of the built-in integration whose deliveries are events for the manager's queue socket."""

SCRIPT_PREFIX: Final = "custom-"
"""Prefix of the names of user-written scripts (spec 1.3)."""


class Kind(StrEnum):
    """How a worker delivers for an integration: by a built-in service, a script, or the manager's queue socket.

    Built-in services need nothing but a network, so a worker for one of them can serve them all: `HTTP` includes mails.
    """

    HTTP = "http"
    SCRIPT = "script"
    MANAGER = "manager"


class Section(msgspec.Struct, frozen=True):
    """A section of an integration's table, such as `[integrations.ID.message]`. `values` are JSON (`common.services`).

    All of it is secret, because some of it may be.
    """

    name: str
    values: Secret


class Integration(msgspec.Struct, frozen=True, kw_only=True):
    """One validated block or table. Texts are unchanged; spec 1.3 gives the defaults and the meaning of each option.

    `id` is stable: the name, or the name and a suffix if several blocks share the name; that of a table is its own
    name. `service_override` is set if courier.toml names a service in place of the block's own.
    `level` 0 means no filter. `rule_ids` is None for no filter; empty, the filter rejects every alert (spec 1.5).
    `event_location` is the sregex pattern, with its leading `!` if it has one. `timeout_s` and `retries` are passed to
    scripts. `only` and `except_` are conditions as written. `hold` names a window of the producer's settings.
    `sections` hold the message and the options of the service (`common.services.sections`). `line` is the first line of
    the block in `file`, counted from 1.
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
    only: tuple[str, ...] = ()
    except_: tuple[str, ...] = ()
    hold: Hold | None = None
    service_override: str = ""
    sections: tuple[Section, ...] = ()
    file: str = ""
    line: int = 0

    @property
    def service(self) -> str:
        """The name of the service, or of the script, that delivers."""
        return self.service_override or self.name

    @property
    def kind(self) -> Kind:
        """The kind, which follows from id and service."""
        if self.id == MANAGER_ID:
            return Kind.MANAGER
        return Kind.SCRIPT if self.service.startswith(SCRIPT_PREFIX) else Kind.HTTP

    @property
    def wants_json(self) -> bool:
        """Whether a script gets the alert as JSON: `alert_format` *starts with* `json` (spec 1.3)."""
        return (self.alert_format or "").startswith("json")
