"""OpenTelemetry traces of commits and attempts, off unless `telemetry.otlp_endpoint` is set.

Off, Courier imports nothing of OpenTelemetry and wraps no call. Where it is installed, redis-py imports it by itself.

The ids of a delivery's trace are digests of its integration and id, so producer and workers need to exchange nothing
and no record becomes larger:

    commit        producer   a trace of its own; links to the first attempt of each of its deliveries
    deliver ID    worker     the first attempt: the root of the delivery's trace. Later attempts are its children
    POST          worker     one call of an attempt, by the conventions for HTTP clients

Spans hold ids, outcomes and the address of the target. They hold no URL, body or text of an alert.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from common.errors import SettingsError

if TYPE_CHECKING:
    from common.telemetry.spans import Tracing

EXTRA: Final = "courier-integrator[otel]"


def start_tracing(endpoint: str, process: str) -> Tracing | None:
    """Return what makes the spans of a process (`producer` or `worker`), None if `endpoint` is empty.

    Raises SettingsError if the packages of OpenTelemetry are not installed.
    """
    if not endpoint:
        return None
    try:
        from common.telemetry.spans import Tracing  # noqa: PLC0415 — an optional dependency, and slow to import
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"telemetry.otlp_endpoint is set, but {error.name} is not installed: install {EXTRA}, "
            'or set otlp_endpoint = ""'
        ) from None
    return Tracing.to(endpoint, process)
