"""The URL at which a browser finds Flower; apart from Flower itself, which is slow to import."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common.connection.urls import host_in_url

if TYPE_CHECKING:
    from common.settings.schema import FlowerSettings


def address(flower: FlowerSettings, port: int) -> str:
    """Return the URL of Flower for a browser."""
    prefix = flower.url_prefix.strip("/")
    return f"http://{host_in_url(flower.address)}:{port}/{prefix + '/' if prefix else ''}"
