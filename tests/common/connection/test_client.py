from __future__ import annotations

import re
import ssl
from textwrap import dedent
from typing import TYPE_CHECKING
from urllib.parse import quote

import certifi
import pytest
import redis
from redis.sentinel import MasterNotFoundError

from common.connection.client import broker_options, broker_tls, broker_url, connect
from common.connection.errors import as_ledger_errors
from common.errors import LedgerUnavailable, SettingsError
from tests.support.guide import PAGES
from tests.support.tls import tls_in_front_of
from tests.support.tools import needs, run
from tests.workers.transports.servers import Authority

if TYPE_CHECKING:
    from pathlib import Path

    from ops.standalone.embedded_redis import EmbeddedServer

CA = quote(certifi.where(), safe="")


def test_broker_url_of_a_unix_socket() -> None:
    assert broker_url("unix://:pw@/run/redis.sock?db=2") == "redis+socket://:pw@/run/redis.sock?virtual_host=2"
    assert broker_url("unix:///r.sock?socket_timeout=3&db=2") == "redis+socket:///r.sock?virtual_host=2"
    assert broker_url("unix:///r.sock") == "redis+socket:///r.sock"
    assert broker_url("redis://h/0") == "redis://h/0"


def test_broker_tls_options_are_separate_from_the_url() -> None:
    url = "rediss://:pw@h:6390/0?ssl_ca_certs=%2Fetc%2Fca.pem"
    assert broker_url(url) == "rediss://:pw@h:6390/0"
    assert broker_tls(url) == {"ssl_cert_reqs": "required", "ssl_ca_certs": "/etc/ca.pem"}
    assert broker_tls("rediss://h/0") == {"ssl_cert_reqs": "required"}
    assert broker_tls("redis://h/0") is None


@pytest.mark.parametrize(
    "url", ["redis://h/0", f"rediss://h/0?ssl_ca_certs={CA}", "unix:///run/redis.sock", "sentinel://a,b/main"]
)
def test_no_client_retries_commands_by_itself(url: str) -> None:
    with connect(url) as client:
        retry = client.get_retry()
        assert retry is not None
        assert retry._retries == 0  # redis-py offers no other way to see it


def test_broker_url_has_login_and_database_for_each_sentinel() -> None:
    url = "sentinel://me:p%2Cw@a,[::1]:26380/main/2?sentinel_password=s%26"
    assert broker_url(url) == "sentinel://me:p%2Cw@a:26379/2;sentinel://me:p%2Cw@[::1]:26380/2"
    assert broker_options(url)["master_name"] == "main"
    assert broker_options(url)["sentinel_kwargs"]["password"] == "s&"
    assert broker_tls(url) is None
    assert broker_options("redis://h/0") == {}


def test_tls_applies_to_sentinels_and_servers() -> None:
    url = f"sentinels://a/main?ssl_ca_certs={CA}"
    assert broker_tls(url) == {"ssl_cert_reqs": "required", "ssl_ca_certs": certifi.where()}
    assert broker_options(url)["sentinel_kwargs"]["ssl_ca_certs"] == certifi.where()
    with connect(url) as client:
        assert client.get_connection_kwargs()["ssl_ca_certs"] == certifi.where()


@pytest.mark.parametrize("url", ["rediss://h/0", "sentinels://a,b/main"])
@pytest.mark.parametrize(
    ("name", "why"), [("gone", "No such file"), (".", "Is a directory"), ("text", "not a PEM file")]
)
def test_unusable_ca_file_is_rejected_at_once(url: str, name: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no certificate")
    with pytest.raises(SettingsError, match=f"redis.ca: {tmp_path / name} cannot be used: .*{why}"):
        connect(f"{url}?ssl_ca_certs={quote(str(tmp_path / name), safe='')}")


def test_sentinel_client_logs_in_to_the_server() -> None:
    with connect("sentinel://me:p%2Cw@a,b/main/2") as client:
        options = client.get_connection_kwargs()
    assert (options["username"], options["password"], options["db"]) == ("me", "p,w", 2)


def strict_client(server: EmbeddedServer, port: int, ca: Path) -> redis.Redis:
    """Return a client that verifies certificates as strictly as Python 3.13, on any version of Python."""
    return redis.Redis(
        host="localhost",
        port=port,
        password=server.password,
        ssl=True,
        ssl_ca_certs=str(ca),
        ssl_include_verify_flags=[ssl.VERIFY_X509_STRICT],
    )


def test_certificate_failing_strict_check_gets_a_hint(server: EmbeddedServer, tmp_path: Path) -> None:
    authority = Authority(tmp_path, key_usage=False)
    with (
        tls_in_front_of(server.port, authority.context(authority.certificate("localhost"))) as port,
        strict_client(server, port, authority.file) as client,
        pytest.raises(LedgerUnavailable) as raised,
        as_ledger_errors(),
    ):
        client.ping()
    assert "CA cert does not include key usage extension" in str(raised.value)
    assert "Python 3.13 and newer" in str(raised.value)
    assert "keyUsage with keyCertSign" in str(raised.value)


@needs("openssl", "openssl")
def test_certificates_of_the_guide_pass_the_strict_check(server: EmbeddedServer, tmp_path: Path) -> None:
    (commands,) = re.findall(
        r"(?:^    .*openssl.*\n(?:^ {6,}.*\n)*)+", (PAGES / "remote-workers.md").read_text(), re.MULTILINE
    )
    made = run("sh", "-ec", dedent(commands).replace("manager.example", "localhost"), folder=tmp_path)
    assert made.returncode == 0, made.stdout
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "redis.crt", tmp_path / "redis.key")
    with tls_in_front_of(server.port, context) as port, strict_client(server, port, tmp_path / "ca.pem") as client:
        assert client.ping()


@pytest.mark.parametrize(
    ("error", "strict"),
    [
        (MasterNotFoundError("No master found (certificate verify failed: Missing Authority Key Identifier)"), True),
        (OSError("certificate verify failed: Basic Constraints of CA cert not marked critical"), True),
        (redis.ConnectionError("certificate verify failed: self-signed certificate in certificate chain"), False),
        (redis.ConnectionError("certificate verify failed: certificate has expired"), False),
    ],
)
def test_only_strict_errors_get_the_strict_hint(error: Exception, strict: bool) -> None:
    with pytest.raises(LedgerUnavailable) as raised, as_ledger_errors():
        raise error
    assert ("Python 3.13" in str(raised.value)) is strict
