"""Whom a request trusts, and the way through a proxy."""

from __future__ import annotations

import socket
import ssl
import threading
from typing import TYPE_CHECKING, cast

import certifi
import pytest

from common.outcome import Reason
from common.secret import Secret
from tests.workers.transports.calls import SECRET_PATH, error, post, tls_url
from tests.workers.transports.servers import Authority, Web, raw, request_of, web
from workers.transports.http import trust
from workers.transports.http.trust import VARIABLES, default_trust_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.blocking import Blocking


def test_a_private_authority_is_trusted_if_it_is_named(authority: Authority, http: Callable[..., Blocking]) -> None:
    with web(authority.context(authority.certificate("server"))) as server:
        transport = http(ca_bundle=authority.file)
        for _ in range(3):
            assert transport.send(post(tls_url(server))).body == b"ok"
        assert len({seen.port for seen in server.seen}) == 1
        untrusted = error(http(), post(tls_url(server)))
        assert untrusted.reason is Reason.TLS
        assert "unable to get local issuer certificate" in untrusted.detail
        assert http(verify_tls=False).send(post(tls_url(server))).status == 200


@pytest.fixture
def system_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The only folder of a system that has no file, for a process without any of the variables."""
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(trust, "SYSTEM_FOLDERS", (str(tmp_path / "certs"),))
    monkeypatch.setattr(trust, "SYSTEM_FILES", (str(tmp_path / "bundle.crt"),))
    monkeypatch.setattr(ssl, "get_default_verify_paths", _without_paths(ssl.get_default_verify_paths))
    default_trust_store.cache_clear()
    yield tmp_path / "certs"
    default_trust_store.cache_clear()


def _without_paths(paths: Callable[[], ssl.DefaultVerifyPaths]) -> Callable[[], ssl.DefaultVerifyPaths]:
    nothing = cast("str", None)  # what Python says of a path that is not there; its stubs know no None
    return lambda: paths()._replace(cafile=nothing, capath=nothing)


def test_what_the_system_trusts_is_trusted(
    authority: Authority, http: Callable[..., Blocking], system_folder: Path
) -> None:
    authority.folder(system_folder)
    with web(authority.context(authority.certificate("server"))) as server:
        assert http().send(post(tls_url(server))).status == 200
        assert error(http(ca_bundle=certifi.where()), post(tls_url(server))).reason is Reason.TLS


def test_the_system_s_file_is_trusted_if_its_folder_is_not_hashed(
    authority: Authority, http: Callable[..., Blocking], system_folder: Path
) -> None:
    system_folder.mkdir()
    (system_folder.parent / "bundle.crt").write_bytes(authority.file.read_bytes())
    with web(authority.context(authority.certificate("server"))) as server:
        assert http().send(post(tls_url(server))).status == 200


@pytest.mark.parametrize("variable", VARIABLES[:-1])
def test_a_variable_selects_the_trust_store(
    authority: Authority,
    http: Callable[..., Blocking],
    system_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
) -> None:
    assert not system_folder.exists()
    monkeypatch.setenv(variable, str(authority.file))
    with web(authority.context(authority.certificate("server"))) as server:
        assert http().send(post(tls_url(server))).status == 200
        assert http(ca_bundle=authority.file).send(post(tls_url(server))).status == 200


def test_the_variables_have_priorities(system_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in reversed(VARIABLES):
        monkeypatch.setenv(variable, f"/of/{variable}")
        default_trust_store.cache_clear()
        assert default_trust_store() == (f"/of/{variable}", variable)
    assert not system_folder.exists()


def test_a_variable_with_a_missing_file_is_an_error(
    authority: Authority, http: Callable[..., Blocking], system_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority.folder(system_folder)
    missing = system_folder.parent / "missing.pem"
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(missing))
    with web(authority.context(authority.certificate("server"))) as server:
        refused = error(http(), post(tls_url(server)))
    assert refused.reason is Reason.NOT_CONFIGURED
    assert refused.detail == f"REQUESTS_CA_BUNDLE {missing} cannot be used: No such file or directory"


def test_a_folder_without_hashed_names_is_an_error(
    authority: Authority, http: Callable[..., Blocking], system_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system_folder.mkdir()
    (system_folder / "mine.pem").write_bytes(authority.file.read_bytes())
    monkeypatch.setenv("CURL_CA_BUNDLE", str(system_folder))
    with web(authority.context(authority.certificate("server"))) as server:
        refused = error(http(), post(tls_url(server)))
    assert refused.reason is Reason.NOT_CONFIGURED
    assert "without hashed names; run `openssl rehash`" in refused.detail


def test_each_folder_of_a_list_is_used(
    authority: Authority, http: Callable[..., Blocking], system_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unhashed, hashed = system_folder.parent / "unhashed", system_folder.parent / "hashed"
    unhashed.mkdir()
    authority.folder(hashed)
    monkeypatch.setenv("SSL_CERT_DIR", f"{system_folder}:{unhashed}:{hashed}")
    with web(authority.context(authority.certificate("server"))) as server:
        assert http().send(post(tls_url(server))).status == 200


@pytest.mark.parametrize(
    ("folders", "words"),
    [
        (
            "{0}/unhashed",
            "SSL_CERT_DIR {0}/unhashed cannot be used: a folder without hashed names; run `openssl rehash`",
        ),
        ("{0}/gone", "SSL_CERT_DIR {0}/gone cannot be used: No such file or directory"),
        ("{0}/gone:{0}/unhashed", "SSL_CERT_DIR {0}/gone cannot be used: No such file or directory"),
    ],
)
def test_folders_without_certificates_are_an_error(
    authority: Authority,
    http: Callable[..., Blocking],
    system_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    folders: str,
    words: str,
) -> None:
    authority.folder(system_folder)
    (system_folder.parent / "unhashed").mkdir()
    monkeypatch.setenv("SSL_CERT_DIR", folders.format(system_folder.parent))
    with web(authority.context(authority.certificate("server"))) as server:
        refused = error(http(), post(tls_url(server)))
    assert refused.reason is Reason.NOT_CONFIGURED
    assert refused.detail.startswith(words.format(system_folder.parent))


def test_an_incomplete_folder_does_not_replace_the_system_s_file(
    authority: Authority, http: Callable[..., Blocking], system_folder: Path
) -> None:
    system_folder.mkdir()
    other = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"
    (system_folder / "0123abcd.0").write_text(other)
    (system_folder.parent / "bundle.crt").write_bytes(authority.file.read_bytes() * 2)
    with web(authority.context(authority.certificate("server"))) as server:
        assert http().send(post(tls_url(server))).status == 200


def test_an_untrusted_target_says_what_to_set(
    authority: Authority, http: Callable[..., Blocking], system_folder: Path
) -> None:
    with web(authority.context(authority.certificate("server"))) as server:
        detail = error(http(), post(tls_url(server))).detail
    assert detail.endswith(f"in {certifi.where()} (the bundled file); name the file of its authority in ca_bundle")
    assert not system_folder.exists()


def test_the_bundled_file_is_the_last_choice(system_folder: Path) -> None:
    assert default_trust_store().path == certifi.where()
    system_folder.mkdir()
    (system_folder / "ca-certificates.crt").touch()
    default_trust_store.cache_clear()
    assert default_trust_store().path == certifi.where()
    (system_folder / "0123abcd.0").touch()
    default_trust_store.cache_clear()
    assert default_trust_store() == (str(system_folder), "the system's folder")
    assert default_trust_store().is_folder


def test_a_certificate_for_another_host_is_refused(authority: Authority, http: Callable[..., Blocking]) -> None:
    with web(authority.context(authority.certificate("other", "192.0.2.1"))) as server:
        refused = error(http(ca_bundle=authority.file), post(tls_url(server)))
    assert (refused.reason, "mismatch" in refused.detail) == (Reason.TLS, True)


def test_a_client_certificate_is_sent(authority: Authority, http: Callable[..., Blocking]) -> None:
    with web(authority.context(authority.certificate("server"), wants_client=True)) as server:
        pem = authority.certificate("client")
        assert http(ca_bundle=authority.file, client_cert=pem).send(post(tls_url(server))).status == 200
        apart = http(ca_bundle=authority.file, client_cert=pem, client_key=pem)
        assert apart.send(post(tls_url(server))).status == 200
        refused = error(http(ca_bundle=authority.file), post(tls_url(server)))
    assert refused.reason in {Reason.TLS, Reason.CONNECTION_FAILED}  # by who is faster: the alert or the reset


def test_plain_http_behind_https_is_an_error(server: Web, http: Callable[..., Blocking]) -> None:
    refused = error(http(), post(tls_url(server)))
    assert (refused.reason, "is not trusted, or does not speak TLS" in refused.detail) == (Reason.TLS, True)


def test_an_interrupted_handshake_is_retried(http: Callable[..., Blocking]) -> None:
    with raw(lambda connection: connection.recv(10)) as address:
        assert error(http(), post(f"https://{address}/")).reason is Reason.CONNECTION_FAILED


@pytest.mark.parametrize("setting", ["ca_bundle", "client_cert"])
@pytest.mark.parametrize("content", [None, "no pem", "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"])
def test_an_unusable_file_is_named(
    authority: Authority, http: Callable[..., Blocking], tmp_path: Path, setting: str, content: str | None
) -> None:
    file = tmp_path / "file.pem"
    if content:
        file.write_text(content)
    with web(authority.context(authority.certificate("server"))) as server:
        unfit = error(http(**({"ca_bundle": authority.file} | {setting: file})), post(tls_url(server)))
    assert unfit.reason is Reason.NOT_CONFIGURED
    assert unfit.detail.startswith(f"{setting} {file} cannot be used: ")
    assert unfit.detail.endswith("not a PEM file" if content == "no pem" else "")


def test_a_proxy_is_used(server: Web, http: Callable[..., Blocking], monkeypatch: pytest.MonkeyPatch) -> None:
    by_setting = http(proxy=Secret(f"http://me:pw@127.0.0.1:{server.port}"))
    assert by_setting.send(post("http://target.example/a")).status == 200
    assert (server.seen[0].path, server.seen[0].headers["host"]) == ("http://target.example/a", "target.example")
    assert server.seen[0].headers["proxy-authorization"] == "Basic bWU6cHc="
    monkeypatch.setenv("HTTP_PROXY", server.url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert http().send(post("http://target.example/b")).status == 200
    assert http().send(post(f"{server.url}/direct")).status == 200
    assert [seen.path for seen in server.seen[1:]] == ["http://target.example/b", "/direct"]


def test_a_tunnel_carries_tls(authority: Authority, http: Callable[..., Blocking]) -> None:
    with web(authority.context(authority.certificate("server"))) as server:

        def tunnel(connection: socket.socket) -> None:
            request_of(connection)
            with socket.create_connection(("127.0.0.1", server.port)) as target:
                connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                back = threading.Thread(target=pump, args=(target, connection), daemon=True)
                back.start()
                pump(connection, target)

        with raw(tunnel) as proxy:
            transport = http(proxy=Secret(f"http://{proxy}"), ca_bundle=authority.file)
            assert transport.send(post(tls_url(server))).body == b"ok"


def test_the_certificate_of_a_proxy_is_checked(authority: Authority, http: Callable[..., Blocking]) -> None:
    with web(authority.context(authority.certificate("server"))) as server:
        proxy = Secret(f"https://127.0.0.1:{server.port}")
        assert http(proxy=proxy, ca_bundle=authority.file).send(post("http://target.example/a")).status == 200
        assert http(proxy=proxy, verify_tls=False).send(post("http://target.example/a")).status == 200
        assert error(http(proxy=proxy), post("http://target.example/a")).reason is Reason.TLS
    assert [seen.path for seen in server.seen] == ["http://target.example/a"] * 2


def pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while chunk := source.recv(65_536):
            sink.sendall(chunk)
    except OSError:
        pass
    finally:
        sink.close()


@pytest.mark.parametrize("response", [b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", b""])
def test_a_refusing_proxy_is_retried(http: Callable[..., Blocking], response: bytes) -> None:
    def refuse(connection: socket.socket) -> None:
        request_of(connection)
        connection.sendall(response)

    with raw(refuse) as proxy:
        refused = error(http(proxy=Secret(f"http://s3cret:s3cret@{proxy}")), post(f"https://t.example{SECRET_PATH}"))
    assert (refused.reason, "t.example" in refused.detail) == (Reason.CONNECTION_FAILED, True)
    assert ("the proxy responded with 407" in refused.detail) is bool(response)
