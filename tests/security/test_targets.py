"""No alert can lead a call to another path, and no target name to an address that is not allowed.

A look-up's path is made of alert text. An address is what a name has when libcurl connects, however it was written.
"""

from __future__ import annotations

import asyncio
from ipaddress import IPv4Address, IPv6Address, ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from common.errors import TransportError
from common.integration import Integration
from common.outcome import Reason
from common.secret import Secret
from common.settings.load import load_settings
from common.settings.schema import VirusTotalApi
from tests.workers.integrations.examples import alert
from tests.workers.transports.servers import web
from workers.calls import Request
from workers.integrations.base import NotSendable
from workers.integrations.helpers.service_options import ServiceOptions
from workers.integrations.registry import make_service
from workers.transports.http.addresses import NEVER, refusal
from workers.transports.http.connections import Connections
from workers.transports.http.transport import HttpTransport, prepare

if TYPE_CHECKING:
    from collections.abc import Iterator

    from common.settings.schema import Policy
    from tests.workers.transports.servers import Web

SETTINGS = {"api_key": Secret("0123456789abcdef"), "hook_url": Secret("https://api.maltiverse.example")}
LOOK_UPS = (("maltiverse", VirusTotalApi.V2), ("virustotal", VirusTotalApi.V2), ("virustotal", VirusTotalApi.V3))
DEFAULTS = load_settings(file=None, environment={}, cwd=Path("/")).policy(Integration(id="slack", name="slack"))
METADATA = (
    "169.254.169.254",
    "2852039166",
    "0xa9.0xfe.0xa9.0xfe",
    "169.16689662",
    "100.100.100.200",
    "168.63.129.16",
    "[fe80::1]",
    "[fd00:ec2::254]",
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "[::a9fe:a9fe]",
    "[64:ff9b::a9fe:a9fe]",
    "[2002:a9fe:a9fe::1]",
)
PRIVATE = ("10.0.0.5", "172.16.3.4", "192.168.1.1", "100.64.0.1", "127.0.0.1", "0.0.0.0", "::1", "::", "fc00::1",  # noqa: S104 — one that is refused
           "fec0::1", "64:ff9b:1::a00:5", "64:ff9b:1::b00:0",
           "::ffff:10.0.0.5", "64:ff9b::10.0.0.5", "2002:a00:5::1")  # fmt: skip


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with web() as served:
        yield served


def policy(**changes: Any) -> Policy:
    return msgspec.structs.replace(DEFAULTS, connect_timeout_s=0.5, **changes)


async def get_over(connections: Connections, url: str, **changes: Any) -> int:
    response = await HttpTransport(policy(**changes), connections).send(Request(method="GET", url=url, headers={}))
    return response.status


def get(url: str, **changes: Any) -> int:
    async def once() -> int:
        connections = Connections()
        try:
            return await get_over(connections, url, **changes)
        finally:
            connections.close()

    return asyncio.run(once())


def refused(url: str, **changes: Any) -> str:
    with pytest.raises(TransportError) as raised:
        get(url, **changes)
    assert raised.value.reason is Reason.NOT_CONFIGURED
    return str(raised.value)


# Paths


def paths(name: str, api: VirusTotalApi, value: str) -> list[str]:
    """Return the paths of the prepared requests, as sent."""
    hashes = {"md5_after": value, "sha1_after": value, "sha256_after": value}
    hostile = alert(syscheck=hashes, data={"srcip": value, "hostname": value})
    block = Integration(id=name, name=name, file="ossec.conf", line=7, **SETTINGS)  # type: ignore[arg-type]  # by name
    try:
        calls = make_service(block, ServiceOptions(virustotal_api=api), now=lambda: 0.0).build_calls(hostile)
    except NotSendable:
        return []
    return [urlsplit(str(prepare(one.method, one.url, one.headers, one.params).url)).path for one in calls]


@pytest.mark.parametrize(("name", "api"), LOOK_UPS)
@pytest.mark.parametrize("value", [".", ".."])
def test_dot_segments_are_not_looked_up(name: str, api: VirusTotalApi, value: str) -> None:
    assert paths(name, api, value) == []


@given(st.sampled_from(LOOK_UPS), st.text("./%2eE\\?#;x", max_size=8) | st.text("./%2e", max_size=3).map("a".join))
def test_no_value_becomes_a_dot_segment_of_a_url(look_up: tuple[str, VirusTotalApi], value: str) -> None:
    for path in paths(*look_up, value):
        assert not {".", ".."} & set(path.lower().replace("%2e", ".").split("/"))


# Addresses


@pytest.mark.parametrize("host", METADATA)
@pytest.mark.parametrize("proxy", [None, Secret("http://127.0.0.1:1")])
def test_metadata_addresses_are_refused_in_every_notation(host: str, proxy: Secret | None) -> None:
    everything = (ip_network("0.0.0.0/0"), ip_network("::/0"))
    message = refused(f"http://{host}/latest/meta-data", proxy=proxy, allow_private=everything)
    assert "to which Courier never connects" in message
    assert "latest" not in message


def test_a_proxy_at_a_metadata_address_is_refused() -> None:
    assert "never connects" in refused("http://hooks.example/", proxy=Secret("http://169.254.169.254:80"))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433"])
def test_deny_private_refuses_private_addresses(server: Web, host: str) -> None:
    url = f"http://{host}:{server.port}/s3cret"
    message = refused(url, deny_private=True, allow_private=(ip_network("10.0.0.0/8"),))
    assert "a private address, which deny_private blocks; to allow it, add its network to allow_private" in message
    assert "s3cret" not in message
    assert server.seen == []
    assert get(url) == 200
    assert get(url, deny_private=True, allow_private=(ip_network("127.0.0.0/8"),)) == 200


def test_integrations_with_and_without_deny_private_share_no_connection(server: Web) -> None:
    async def in_turns() -> None:
        shared = Connections()
        assert await get_over(shared, server.url) == 200
        with pytest.raises(TransportError, match="deny_private"):
            await get_over(shared, server.url, deny_private=True)
        assert await get_over(shared, server.url) == 200
        shared.close()

    asyncio.run(in_turns())
    assert len(server.seen) == 2
    assert len({seen.port for seen in server.seen}) == 1


def test_a_private_proxy_is_allowed_but_not_for_private_addresses(server: Web) -> None:
    by_proxy: dict[str, Any] = {"proxy": Secret(server.url), "deny_private": True}
    assert get("http://hooks.example/x", **by_proxy) == 200
    assert [seen.path for seen in server.seen] == ["http://hooks.example/x"]
    for host in ("10.0.0.5", "0x7f.1", "[::1]"):
        assert "deny_private" in refused(f"http://{host}/", **by_proxy)
    assert len(server.seen) == 1


def test_an_unreachable_target_is_not_reported_as_refused() -> None:
    with pytest.raises(TransportError) as raised:
        get("http://127.0.0.1:1/")
    assert raised.value.reason is Reason.CONNECTION_FAILED


def test_a_redirect_to_metadata_is_not_followed(server: Web) -> None:
    server.status, server.headers = 302, {"Location": "http://169.254.169.254/"}
    assert get(server.url) == 302
    assert len(server.seen) == 1


@pytest.mark.parametrize("address", PRIVATE)
def test_what_deny_private_refuses(address: str) -> None:
    assert "deny_private" in refusal(address, policy(deny_private=True))
    assert refusal(address, policy()) == ""


@given(st.ip_addresses(v=4) | st.sampled_from(NEVER).flatmap(lambda one: st.ip_addresses(network=one)))
def test_an_address_embedded_in_another_is_checked_too(address: IPv4Address | IPv6Address) -> None:
    if isinstance(address, IPv6Address):
        assert refusal(str(address), policy())
        return
    number = int(address)
    disguised = (
        IPv6Address(0xFFFF << 32 | number),
        IPv6Address(int(IPv6Address("64:ff9b::")) | number),
        IPv6Address(0x2002 << 112 | number << 80 | 1),
    )
    for one in (policy(), policy(deny_private=True)):
        assert {bool(refusal(str(form), one)) for form in disguised} == {bool(refusal(str(address), one))}
    assert bool(refusal(str(address), policy(deny_private=True))) >= (not address.is_global)


@given(st.ip_addresses())
@example(IPv6Address("64:ff9b:1::b00:0"))  # a translator's own prefix (RFC 8215): global for Python 3.11 only
def test_only_global_addresses_are_allowed(address: IPv4Address | IPv6Address) -> None:
    if not refusal(str(address), policy(deny_private=True)):
        assert address.is_global or (isinstance(address, IPv6Address) and (address.sixtofour or address.teredo))
