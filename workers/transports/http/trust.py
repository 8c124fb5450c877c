"""Selects the trusted certificate authorities for integrations without `ca_bundle`.

The first of these counts: an environment variable of curl, requests or OpenSSL; the system's folder; the system's file;
the file that comes with Courier (certifi). A variable with an unusable value is an error and never ignored: the person
who set it wants to trust these authorities only.
"""

from __future__ import annotations

import os
import re
import ssl
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from requests.utils import DEFAULT_CA_BUNDLE_PATH

if TYPE_CHECKING:
    from common.settings.schema import Policy

FOLDERS: Final = "SSL_CERT_DIR"
"""OpenSSL's variable for folders, with colons between them (SSL_CTX_set_default_verify_paths(3))."""

VARIABLES: Final = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", FOLDERS)
"""The variables of OpenSSL, requests (SSL Cert Verification), curl (curl(1), --cacert) and OpenSSL, by priority."""

SYSTEM_FOLDERS: Final = ("/etc/ssl/certs", "/etc/pki/tls/certs")

SYSTEM_FILES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Arch, Alpine
    "/etc/pki/tls/certs/ca-bundle.crt",  # RHEL, Fedora, Amazon Linux
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",  # RHEL 7 and newer
    "/etc/ssl/cert.pem",  # Alpine
)
"""The files in which distributions keep all authorities, in the order of Go's crypto/x509 (root_linux.go)."""

_HASHED: Final = re.compile(r"[0-9a-f]{8}\.[0-9]+")
"""A certificate's file name in a folder that OpenSSL can use (openssl-rehash(1))."""


class TrustStore(NamedTuple):
    """A file, a folder or a list of folders with certificates, and the name that error texts use for it."""

    path: str
    name: str

    @property
    def parts(self) -> list[Path]:
        """The single files or folders of `path`."""
        return [Path(part) for part in (self.path.split(os.pathsep) if self.name == FOLDERS else [self.path])]

    @property
    def is_folder(self) -> bool:
        """Whether at least one folder has certificates that OpenSSL finds by their hash."""
        return any(map(_hashed, self.parts))


def trust_store_of(policy: Policy) -> TrustStore:
    """Return the trust store for the calls of an integration."""
    return TrustStore(str(policy.ca_bundle), "ca_bundle") if policy.ca_bundle else default_trust_store()


@cache
def default_trust_store() -> TrustStore:
    """Return the default trust store of this process. It is cached, as the environment does not change.

    A folder is preferred: OpenSSL reads only the certificates that a chain needs, while parsing the file costs each
    connection 9 ms and 0.8 MiB. A folder with fewer authorities than the file is incomplete and not used, such as one
    that an administrator hashed on RHEL.
    """
    for variable in VARIABLES:
        if path := os.environ.get(variable):
            return TrustStore(path, variable)
    of_python = ssl.get_default_verify_paths()  # the paths that this Python was built with
    files = filter(None, (of_python.cafile, *SYSTEM_FILES))
    file, in_file = next(((file, count) for file in files if (count := _authorities(file))), ("", 0))
    for folder in filter(None, (of_python.capath, *SYSTEM_FOLDERS)):
        if _hashed(folder) >= max(1, in_file):
            return TrustStore(folder, "the system's folder")
    return TrustStore(file, "the system's file") if file else TrustStore(DEFAULT_CA_BUNDLE_PATH, "the bundled file")


def _hashed(folder: str | Path) -> int:
    """Return the number of certificates that OpenSSL can find in a folder; 0 if it is not a folder."""
    with suppress(OSError):
        return sum(1 for file in Path(folder).iterdir() if _HASHED.fullmatch(file.name))
    return 0


def _authorities(file: str) -> int:
    """Return the number of certificates in a file; 0 if it cannot be read."""
    with suppress(OSError):
        return Path(file).read_bytes().count(b"-----BEGIN ")
    return 0
