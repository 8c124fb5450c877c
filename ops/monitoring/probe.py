"""Asks web servers of Courier over HTTP whether they respond: for `courier health` and for their own health files."""

from __future__ import annotations

import base64
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Final

from common.connection.urls import host_in_url
from common.errors import Unhealthy

if TYPE_CHECKING:
    from common.settings.served import ConsoleSettings, FlowerSettings, MetricsSettings

TIMEOUT_S: Final = 5.0

EXPORTER_PORT: Final = 9464
"""OpenTelemetry's default port for Prometheus exporters; used if `metrics.port` is 0."""

_EMPTY_PAGE: Final = "favicon.ico"
"""The page that prometheus_client serves without collecting metrics, which takes a second with a large ledger."""


def flower(settings: FlowerSettings) -> str:
    """Return that Flower responds and sees the workers, as text. Raises Unhealthy otherwise."""
    prefix = settings.url_prefix.strip("/")
    url = f"http://{_server(settings.address, settings.port)}/{prefix + '/' if prefix else ''}healthcheck"
    request = urllib.request.Request(url)
    if settings.basic_auth:
        login = base64.b64encode(settings.basic_auth.reveal().encode()).decode()
        request.add_header("Authorization", f"Basic {login}")
    return _probe("Flower", request)


def console(settings: ConsoleSettings) -> str:
    """Return that the console responds and reaches Redis, as text. Raises Unhealthy otherwise."""
    return _probe("the console", urllib.request.Request(f"http://{_server(settings.address, settings.port)}/health"))


def exporter(settings: MetricsSettings) -> str:
    """Return that the exporter responds, as text. Raises Unhealthy otherwise. Redis may be unavailable."""
    server = _server(settings.address, settings.port or EXPORTER_PORT)
    return _probe("the exporter", urllib.request.Request(f"http://{server}/{_EMPTY_PAGE}"))


def _server(address: str, port: int) -> str:
    """Return host and port for the URL of a server on this host; its `address` can stand for every address."""
    local = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)  # noqa: S104 — a listen address; nothing listens here
    return f"{host_in_url(local)}:{port}"


def _probe(who: str, request: urllib.request.Request) -> str:
    """Send the request, not through a proxy, and return that there is a response."""
    url = request.full_url
    try:
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=TIMEOUT_S).close()
    except urllib.error.HTTPError as error:
        with error:
            raise Unhealthy(
                f"{who} responded with status {error.code} at {url}: {error.read(500).decode(errors='replace')}"
            ) from None
    except (urllib.error.URLError, OSError) as error:
        raise Unhealthy(f"{who} does not respond at {url}: {error}") from None
    return f"{who} responds at {url}"
