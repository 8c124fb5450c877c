"""The URLs at which a browser finds Flower and the console; apart from both, which are slow to import."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common.connection.urls import host_in_url

if TYPE_CHECKING:
    from common.settings.served import ConsoleSettings, FlowerSettings


def address(flower: FlowerSettings, port: int) -> str:
    """Return the URL of Flower for a browser."""
    prefix = flower.url_prefix.strip("/")
    return f"http://{host_in_url(flower.address)}:{port}/{prefix + '/' if prefix else ''}"


def console_address(console: ConsoleSettings) -> str:
    """Return the URL of the console for a browser."""
    return f"http://{host_in_url(console.address)}:{console.port}/"
