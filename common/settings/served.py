"""The settings of what Courier serves by HTTP: Flower, the console and metrics. Part of the schema."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated

import msgspec

from common.secret import Secret
from common.settings.secret_values import credentials
from common.settings.values import boolean, hosts, integer, networks, optional, path, text


class FlowerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`[flower]`."""

    address: Annotated[str, text("an address to listen on", r"[A-Za-z0-9_.:-]+")]
    port: Annotated[int, integer(0, 65_535)]
    read_only: Annotated[bool, boolean()]
    max_tasks: Annotated[int, integer(100, 10_000_000)]
    basic_auth: Annotated[Secret | None, optional(credentials())]
    url_prefix: Annotated[str, text('a path such as "flower", or "" for none', r"[A-Za-z0-9_/.-]*")]
    behind_proxy: Annotated[bool, boolean()]
    hosts: Annotated[tuple[str, ...], hosts()]
    db: Annotated[Path | None, optional(path())]


class ConsoleSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`[console]`. The login is `flower.basic_auth`."""

    address: Annotated[str, text("an address to listen on", r"[A-Za-z0-9_.:-]+")]
    port: Annotated[int, integer(0, 65_535)]
    hosts: Annotated[tuple[str, ...], hosts()]
    trusted_proxies: Annotated[tuple[IPv4Network | IPv6Network, ...], networks()]
    user_header: Annotated[str, text("the name of a header", r"[A-Za-z0-9-]{1,100}")]
    flower_url: Annotated[str, text('an http:// or https:// URL, or ""', r"(?:https?://[^\s\"'<>`|\\]+)?")]


class MetricsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`[metrics]`."""

    address: Annotated[str, text("an address to listen on", r"[A-Za-z0-9_.:-]+")]
    port: Annotated[int, integer(0, 65_535)]
