"""What a TLS connection trusts and shows, shared by all integrations that agree on it.

Reading the certificates takes 25 ms of CPU and 0.6 MiB: with one for each of 100 integrations, a worker that met them
for the first time spent more on that than on its deliveries.
"""

from __future__ import annotations

import ssl
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from requests.utils import DEFAULT_CA_BUNDLE_PATH

from common.errors import TransportError
from common.outcome import Reason
from workers.transports.http_errors import words_of

if TYPE_CHECKING:
    from common.settings_schema import Policy

_KEPT: Final = 256
"""Contexts for further integrations; those in use live on with their connections."""


def tls_context(policy: Policy) -> ssl.SSLContext:
    """Return what a policy trusts and shows. Raises TransportError (not_configured) for a file that does not serve.

    Whoever asks after a file was replaced gets what is in it now.
    """
    files = (policy.ca_bundle, policy.client_cert, policy.client_key)
    return _context(policy.verify_tls, *files, versions=tuple(map(_version, files)))


@lru_cache(_KEPT)
def _context(
    verify_tls: bool,
    ca_bundle: Path | None,
    client_cert: Path | None,
    client_key: Path | None,
    *,
    versions: tuple[int, ...],  # noqa: ARG001 — a part of the key
) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=str(ca_bundle or DEFAULT_CA_BUNDLE_PATH))
    except OSError as error:
        raise _unfit("ca_bundle", ca_bundle, error) from None
    if not verify_tls:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if client_cert:
        try:
            context.load_cert_chain(client_cert, client_key, password="")
        except OSError as error:
            raise _unfit("client_cert", client_cert, error) from None
    return context


def _version(file: Path | None) -> int:
    """Return when a file was changed, in ns; 0 if it cannot be looked at, which is told when it is read."""
    try:
        return (file or Path(DEFAULT_CA_BUNDLE_PATH)).stat().st_mtime_ns
    except OSError:
        return 0


def _unfit(setting: str, file: Path | None, error: OSError) -> TransportError:
    return TransportError(Reason.NOT_CONFIGURED, f"{setting} {file} cannot be used: {words_of(error) or 'no PEM file'}")
