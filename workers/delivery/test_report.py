"""The result of one delivery of `courier test`, which the worker hands to the command that waits for it.

    courier:test:{ID}:HEX   string   the report as JSON; HEX is the end of the delivery id. Workers write it, the
                                     command reads it; expires after EXPIRE_S

It is telemetry: the delivery is settled in any case. Texts are redacted and truncated here and escaped where they are
shown. The command reads no more than MAX_BYTES, because other programs can write to Redis, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from common.connection.errors import as_ledger_errors
from common.json_depth import check_depth
from common.reports.store import Count
from workers.rendering import RenderedCall

if TYPE_CHECKING:
    from redis import Redis

EXPIRE_S: Final = 300
MAX_BYTES: Final = 512 * 1024
"""An ordinary report has some kB."""

MAX_CALLS: Final = 10
MAX_TEXT_CHARS: Final = 4000
"""Limit of each text: a body that is sent, a header, an argument, a response."""

MAX_PARTS: Final = 30
"""Headers or arguments of a call that are reported."""


class CallReport(msgspec.Struct, frozen=True, kw_only=True):
    """One call and its response: an HTTP status or exit status, and the text. `error` is why there was no response."""

    request: RenderedCall
    status: Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31)] | None = None
    response: str = ""
    is_cut: bool = False
    error: str = ""
    duration_ms: Count = 0


class DeliveryTestReport(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one attempt. `outcome` is delivered, skipped or failed. Times are ms of the ledger's clock.

    `duration_ms` is the time that all calls took. `attempt_ms` also includes the time to build them and to read the
    responses. `worker` is NAME@HOST, empty for a test without a worker.
    """

    outcome: str
    reason: str = ""
    detail: str = ""
    worker: str = ""
    committed_ms: Count = 0
    begun_ms: Count = 0
    duration_ms: Count = 0
    attempt_ms: Count = 0
    calls: tuple[CallReport, ...] = ()

    @property
    def status(self) -> int | None:
        """The status of the last response, None if there was none."""
        return next((call.status for call in reversed(self.calls) if call.status is not None), None)


_decode: Final = msgspec.json.Decoder(DeliveryTestReport).decode


def publish(client: Redis, integration_id: str, delivery_id: str, report: DeliveryTestReport) -> None:
    """Store the report for the command, without its calls if it is too large for MAX_BYTES.

    Raises LedgerUnavailable or LedgerMisconfigured.
    """
    encoded = msgspec.json.encode(report)
    if len(encoded) > MAX_BYTES:
        encoded = msgspec.json.encode(msgspec.structs.replace(report, calls=()))
    with as_ledger_errors():
        client.set(_key(integration_id, delivery_id), encoded, ex=EXPIRE_S)


def fetch(client: Redis, integration_id: str, delivery_id: str) -> DeliveryTestReport | None:
    """Return the report, None if there is none yet, or none that Courier can have written.

    Raises LedgerUnavailable or LedgerMisconfigured.
    """
    with as_ledger_errors(), client.pipeline(transaction=False) as pipe:
        pipe.getrange(_key(integration_id, delivery_id), 0, MAX_BYTES - 1)
        (stored,) = pipe.execute(raise_on_error=False)
    return _decoded(stored) if isinstance(stored, bytes) and stored else None


def _decoded(stored: bytes) -> DeliveryTestReport | None:
    try:
        check_depth(stored)
        return _decode(stored)
    except (ValueError, RecursionError):
        return None


def bounded(rendered: RenderedCall) -> RenderedCall:
    """Return a rendered call with each text truncated."""
    return RenderedCall(
        method=cut(rendered.method),
        url=cut(rendered.url),
        headers={cut(name): cut(value) for name, value in _first(rendered.headers)},
        body=cut(rendered.body),
        argv=[cut(word) for word in rendered.argv[:MAX_PARTS]],
        files={cut(name): cut(content) for name, content in _first(rendered.files)},
    )


def cut(text: str) -> str:
    """Return at most MAX_TEXT_CHARS characters of a text, without surrogates, which JSON in UTF-8 cannot hold."""
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= MAX_TEXT_CHARS else f"{text[:MAX_TEXT_CHARS]}…"


def _first(members: dict[str, str]) -> list[tuple[str, str]]:
    return list(members.items())[:MAX_PARTS]


def _key(integration_id: str, delivery_id: str) -> str:
    return f"courier:test:{{{integration_id}}}:{delivery_id.rpartition(':')[2]}"
