"""Which certificates a target is checked against: by variables, by the system, or by the file that comes along."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import certifi
import pytest

from common.outcome import Reason
from tests.workers.transports.calls import error, post, tls_url
from tests.workers.transports.servers import Authority, Web, web
from workers.transports import trust
from workers.transports.trust import FILES, FOLDERS, VARIABLES, Trust, chosen, system, trusted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from workers.transports.http import HttpTransport

FILE_VARIABLES = VARIABLES[:3]
PEM = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"


@pytest.fixture
def tls(authority: Authority) -> Iterator[Web]:
    with web(authority.context(authority.certificate("server"))) as server:
        yield server


def test_the_order_is_that_of_the_page() -> None:
    assert FILE_VARIABLES == ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


@pytest.mark.parametrize("variable", FILE_VARIABLES)
@pytest.mark.parametrize("as_folder", [False, True], ids=["file", "folder"])
def test_what_a_variable_names_is_trusted(
    *,
    tls: Web,
    authority: Authority,
    http: Callable[..., HttpTransport],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    variable: str,
    as_folder: bool,
) -> None:
    path = authority.folder(tmp_path / "certs") if as_folder else authority.file
    monkeypatch.setenv(variable, str(path))
    assert http().send(post(tls_url(tls))).status == 200
    assert error(http(ca_bundle=certifi.where()), post(tls_url(tls))).reason is Reason.TLS  # ca_bundle comes first


@pytest.mark.parametrize("at", range(len(VARIABLES)))
def test_the_first_variable_that_is_set_counts(at: int) -> None:
    given = dict.fromkeys(VARIABLES[:at], "") | {name: f"/{name}" for name in VARIABLES[at:]}
    assert chosen(given) == Trust(f"/{VARIABLES[at]}", is_folder=False, named_by=VARIABLES[at])
    assert chosen({}) is None


def test_folders_of_openssl_s_variable_may_be_several(tmp_path: Path, authority: Authority) -> None:
    folders = f"/nonexistent{os.pathsep}{authority.folder(tmp_path / 'certs')}"
    assert chosen({"SSL_CERT_DIR": folders}) == Trust(folders, is_folder=True, named_by="SSL_CERT_DIR")


@pytest.mark.parametrize("variable", VARIABLES)
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "No such file or directory"),
        ("no pem", "no PEM file"),
        (PEM, "no certificate, or a broken one"),
        ("folder", "a folder without hashed names; run `openssl rehash` on it"),
    ],
)
def test_a_variable_that_names_something_unusable_is_told_and_nothing_else_is_taken(
    *,
    tls: Web,
    server: Web,
    http: Callable[..., HttpTransport],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    variable: str,
    content: str | None,
    words: str,
) -> None:
    path = tmp_path / "ca"
    if content == "folder":
        path.mkdir()
        (path / "mine.pem").write_text(PEM)
    elif content:
        path.write_text(content)
    monkeypatch.setenv(variable, str(path))
    unfit = error(http(), post(tls_url(tls)))
    assert unfit.reason is Reason.NOT_CONFIGURED
    assert unfit.detail == f"{variable} {path} cannot be used: {words}; mend it, or name another file in ca_bundle"
    assert http().send(post(server.url)).status == 200  # without TLS nobody asks


def test_an_error_of_an_unknown_authority_names_what_is_trusted_and_ca_bundle(
    tls: Web, http: Callable[..., HttpTransport], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", certifi.where())
    untrusted = error(http(), post(tls_url(tls)))
    assert untrusted.reason is Reason.TLS
    assert f"no authority in {certifi.where()} (SSL_CERT_FILE) has signed it" in untrusted.detail
    assert untrusted.detail.endswith("name a file with yours in ca_bundle")


@pytest.mark.parametrize("place", FILES)
def test_what_a_distribution_s_file_holds_is_trusted(
    *,
    tls: Web,
    authority: Authority,
    http: Callable[..., HttpTransport],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    place: str,
) -> None:
    """A folder beside it without hashed names, as on RHEL, or with one stray hashed name, does not hide the file."""
    file = tmp_path / place.removeprefix("/")
    file.parent.mkdir(parents=True)
    file.write_bytes(authority.file.read_bytes() + PEM.encode())
    (file.parent / "0123abcd.0").write_text(PEM)
    monkeypatch.setattr(trust, "_openssl_first", lambda places, _: [f"{tmp_path}{one}" for one in places])
    assert trusted() == Trust(str(file), is_folder=False)
    file.write_bytes(authority.file.read_bytes())
    (file.parent / "0123abcd.0").unlink()
    assert http().send(post(tls_url(tls))).status == 200


def test_a_folder_with_all_that_the_file_has_is_taken_and_the_bundled_file_comes_last(
    tmp_path: Path, authority: Authority
) -> None:
    folder, file = authority.folder(tmp_path / "certs"), tmp_path / "ca.crt"
    file.write_text(PEM)
    assert system([str(file)], [str(folder)]) == Trust(str(folder), is_folder=True)
    file.write_text(2 * PEM)
    assert system([str(file)], [str(folder)]) == Trust(str(file), is_folder=False)
    assert system([], [str(folder)]) == Trust(str(folder), is_folder=True)
    assert system(["/nonexistent"], ["/nonexistent"]) == Trust(certifi.where(), is_folder=False)
    assert system([], [str(tmp_path)]) == Trust(certifi.where(), is_folder=False)
    assert set(FOLDERS) >= {"/etc/ssl/certs", "/etc/pki/tls/certs"}
