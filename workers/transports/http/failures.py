"""Turns an error of libcurl into an error for the operator: what happened, with whom, and what to change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import pycurl

from common.errors import TransportError
from common.outcome import Reason
from workers.transports.http.errors import classify
from workers.transports.http.trust import trust_store_of

if TYPE_CHECKING:
    from common.settings.schema import Policy
    from workers.transports.http.handle import Handle

INVALID_URL: Final = "hook_url is not a valid http:// or https:// URL"

_UNKNOWN_AUTHORITY: Final = ("issuer certificate", "self-signed", "self signed")
"""Parts of OpenSSL's texts for a chain without a trusted authority (X509_verify_cert_error_string(3))."""


def failure(
    error: pycurl.error, handle: Handle, policy: Policy, where: str, limit_s: float, *, protocol: str = "HTTP"
) -> TransportError:
    """Return the error of a call to `where`, which could take `limit_s`."""
    code, text = error.args
    if code == pycurl.E_COULDNT_CONNECT and (why := handle.refused()):
        return TransportError(Reason.NOT_CONFIGURED, f"no connection to {where}: {why}")
    errno, proxy_status = handle.last_error()
    reason, words = classify(code, text, errno=errno, proxy_status=proxy_status)
    words = words.replace("HTTP", protocol)
    if reason is Reason.NOT_CONFIGURED:
        return _file_error(code, policy)
    detail = {
        Reason.TIMEOUT: f"{where} did not respond in time; the limit is {limit_s:g} s",
        Reason.TLS: f"{where} is not trusted, or does not speak TLS",
        Reason.CONNECTION_FAILED: f"no connection to {where}",
        Reason.INVALID_RESPONSE: f"the response of {where} cannot be read",
        Reason.INVALID_URL: INVALID_URL,
    }.get(reason, f"libcurl error {code} while calling {where}")
    if reason is Reason.TLS and any(part in words for part in _UNKNOWN_AUTHORITY):
        authorities = trust_store_of(policy)
        words += f" in {authorities.path} ({authorities.name}); name the file of its authority in ca_bundle"
    return TransportError(reason, f"{detail}: {words}" if words else detail)


def _file_error(code: int, policy: Policy) -> TransportError:
    """Return an error that names the file in the settings that cannot be used, and why."""
    of_client = {"client_cert": policy.client_cert, "client_key": policy.client_key}
    authorities = trust_store_of(policy)
    of_server = [(authorities.name, part) for part in authorities.parts]
    files = list(of_client.items()) if code == pycurl.E_SSL_CERTPROBLEM else of_server
    for setting, file in files:
        try:
            if file is None or b"-----BEGIN " in file.read_bytes():
                continue
            words = "not a PEM file"
        except IsADirectoryError:
            words = "a folder without hashed names; run `openssl rehash` on it"
        except OSError as error:
            words = error.strerror or "it cannot be read"
        return TransportError(Reason.NOT_CONFIGURED, f"{setting} {file} cannot be used: {words}")
    names = " and ".join(f"{setting} {file}" for setting, file in files if file)
    return TransportError(
        Reason.NOT_CONFIGURED, f"{names} cannot be used: the certificate or its key is missing or invalid"
    )


def where(url: str) -> str:
    """Return host and port, or `the target` if a password with special characters may be parsed as part of the host."""
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        return "the target"
    if not host or "@" in f"{parts.path}{parts.query}{parts.fragment}":
        return "the target"
    shown = f"[{host}]" if ":" in host else host
    return shown if port is None else f"{shown}:{port}"
