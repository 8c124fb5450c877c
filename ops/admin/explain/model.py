"""The data model of `courier explain`: `--json` writes exactly this, one object for each alert.

Every key is always present. `VERSION` increases when a key is removed or changes its meaning; keys may be added at any
time. Times are in ms since the epoch. `ops/docs/explain.md` describes each key.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from producer.filters.explain import ConditionStep, FilterStep

VERSION: Final = 1


class State(StrEnum):
    """What became of an alert for one integration, or the state of one delivery."""

    NO_MATCH = "no_match"
    NOT_AN_ALERT = "not_an_alert"
    WAITING = "waiting"
    RELEASED = "released"
    """In the integration's Celery queue; no worker has begun it."""
    IN_FLIGHT = "in_flight"
    DEAD = "dead"
    ENDED = "ended"
    """Delivered, or skipped or deleted; the text says what is known."""
    FOLDED = "folded"
    """It is in a digest, which may have been sent, or in an open group."""
    BELOW_MIN = "below_min"
    """Too few alerts of its group came for a digest."""
    SILENCED = "silenced"
    NOT_READ = "not_read"
    NOT_ENQUEUED = "not_enqueued"
    FILTERS_ONLY = "filters_only"
    """Only filters and conditions are known: the alert is not from the log, or Redis does not answer."""
    UNKNOWN = "unknown"


class AttemptReport(msgspec.Struct, frozen=True, kw_only=True):
    """One failed attempt."""

    at_ms: int
    reason: str
    detail: str


class ResponseReport(msgspec.Struct, frozen=True, kw_only=True):
    """The last response of the service, or the output of the script; the worker has masked the secrets in it."""

    at_ms: int
    status: int | None
    text: str
    truncated: bool


class DeliveryReport(msgspec.Struct, frozen=True, kw_only=True):
    """One delivery that the ledger holds. `reasons` says why it waits, `worker` who has begun it, empty if nobody has.

    `due_ms` is when a waiting one is due, `lease_ms` when the lease of a released one expires, `died_ms` when a dead
    letter died; null otherwise. `attempts` counts since the last replay. `fallback_of` names the integration that
    could not deliver the alert. `commands` can be run as they are.
    """

    id: str
    state: State
    text: str
    reasons: list[str]
    committed_ms: int
    due_ms: int | None
    lease_ms: int | None
    died_ms: int | None
    worker: str
    attempts: int
    lost_attempts: int
    replays: int
    fallback_of: str
    history: list[AttemptReport]
    response: ResponseReport | None
    commands: list[str]


class EndReport(msgspec.Struct, frozen=True, kw_only=True):
    """How one delivery of the alert ended, from the history of its integration.

    `outcome` and `reason` are those of `courier history`. `committed_ms` is when it was queued, `first_attempt_ms` when
    its first attempt began, both null if unknown; `attempt_ms` is the duration of the last attempt in ms. `worker` is
    empty if no worker ended it.
    """

    delivery: str
    outcome: str
    reason: str
    attempts: int
    committed_ms: int | None
    first_attempt_ms: int | None
    ended_ms: int
    attempt_ms: int | None
    worker: str


class DigestReport(msgspec.Struct, frozen=True, kw_only=True):
    """The digest that has the alert; `id` is empty while its window is open. `certain` is whether it names the alert.

    `group` has the values of `by`; it is empty if there are none, and in the group for all others, `others`. `count` is
    how many alerts it has, null if that is unknown. `to_ms` is when the window ended, or will end.
    """

    id: str
    group: dict[str, str]
    others: bool
    from_ms: int
    to_ms: int
    count: int | None
    certain: bool


class IntegrationReport(msgspec.Struct, frozen=True, kw_only=True):
    """One integration. `configured` is false if only the ledger knows it; it then has no filters.

    `matches` is whether the current filters and conditions let the alert pass, null if that is unknown. `why_not` has a
    text for each one that does not. `where` is FILE:LINE of its definition. `notes` say what restricts the answer.
    `outcome` is how its delivery, or its digest, ended, such as `delivered`; empty if that is unknown or it has not
    ended. `digest` is null if the alert was not folded, or if it is unknown where. `ended` are the ends of its
    deliveries that the history has, the oldest first: each replay of a dead letter adds one.
    """

    id: str
    name: str
    configured: bool
    where: str
    matches: bool | None
    why_not: list[str]
    filters: list[FilterStep]
    conditions: list[ConditionStep]
    state: State
    outcome: str
    text: str
    notes: list[str]
    commands: list[str]
    digest: DigestReport | None
    deliveries: list[DeliveryReport]
    ended: list[EndReport]


class AlertSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The alert itself. A field is empty if the alert does not have it."""

    id: str
    time: str
    rule: str
    level: str
    description: str
    agent_id: str
    agent_name: str


class AlertReport(msgspec.Struct, frozen=True, kw_only=True):
    """The whole report about one alert.

    `delivery` is its delivery id, empty if it is not from the log. `source` says where it was read. `time_ms` is the
    time of the report by the clock of Redis, null if Redis does not answer; `redis_error` then says why.
    """

    version: int
    alert: AlertSummary
    delivery: str
    node: str
    source: str
    time_ms: int | None
    redis_error: str
    notes: list[str]
    integrations: list[IntegrationReport]
