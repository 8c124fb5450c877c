"""Which certificate authorities a target is checked against, where its integration names none in `ca_bundle`.

In this order: what a variable names that curl, requests or OpenSSL know; the system's folder; the system's file; the
file that comes with Courier (certifi). A variable that names nothing usable is an error, never passed over: whoever set
it meant to trust these and no others.
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
"""OpenSSL's (SSL_CTX_set_default_verify_paths(3)): folders, with a colon between two of them."""

VARIABLES: Final = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", FOLDERS)
"""Of OpenSSL, requests (SSL Cert Verification), curl (curl(1), --cacert) and again OpenSSL, in their order here."""

SYSTEM_FOLDERS: Final = ("/etc/ssl/certs", "/etc/pki/tls/certs")

SYSTEM_FILES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Arch, Alpine
    "/etc/pki/tls/certs/ca-bundle.crt",  # RHEL, Fedora, Amazon Linux
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",  # RHEL 7 and newer
    "/etc/ssl/cert.pem",  # Alpine
)
"""Where distributions keep all authorities in one file, in the order of Go's crypto/x509 (root_linux.go)."""

_HASHED: Final = re.compile(r"[0-9a-f]{8}\.[0-9]+")
"""A certificate's name in a folder that OpenSSL can look into (openssl-rehash(1))."""


class TrustStore(NamedTuple):
    """A file, a folder or a list of folders of certificates, and the name under which an operator knows it."""

    path: str
    name: str

    @property
    def parts(self) -> list[Path]:
        """Each file or folder by itself."""
        return [Path(part) for part in (self.path.split(os.pathsep) if self.name == FOLDERS else [self.path])]

    @property
    def is_folder(self) -> bool:
        """Whether OpenSSL finds certificates by their hash in it, or in one of the folders."""
        return any(map(_hashed, self.parts))


def trust_store_of(policy: Policy) -> TrustStore:
    """Return what the calls of an integration trust."""
    return TrustStore(str(policy.ca_bundle), "ca_bundle") if policy.ca_bundle else default_trust_store()


@cache
def default_trust_store() -> TrustStore:
    """Return what this process trusts by default; read once, as its environment does not change.

    From a folder OpenSSL reads what a chain needs; of one file each connection takes 9 ms and 0.8 MiB. A folder
    with fewer authorities than the file has only some of them, such as one that an administrator hashed on RHEL.
    """
    for variable in VARIABLES:
        if path := os.environ.get(variable):
            return TrustStore(path, variable)
    of_python = ssl.get_default_verify_paths()  # what this Python was built for
    files = filter(None, (of_python.cafile, *SYSTEM_FILES))
    file, in_file = next(((file, count) for file in files if (count := _authorities(file))), ("", 0))
    for folder in filter(None, (of_python.capath, *SYSTEM_FOLDERS)):
        if _hashed(folder) >= max(1, in_file):
            return TrustStore(folder, "the system's folder")
    return TrustStore(file, "the system's file") if file else TrustStore(DEFAULT_CA_BUNDLE_PATH, "the bundled file")


def _hashed(folder: str | Path) -> int:
    """Return how many certificates OpenSSL can look up in a folder, 0 where it is none."""
    with suppress(OSError):
        return sum(1 for file in Path(folder).iterdir() if _HASHED.fullmatch(file.name))
    return 0


def _authorities(file: str) -> int:
    """Return how many certificates a file holds, 0 where it cannot be read."""
    with suppress(OSError):
        return Path(file).read_bytes().count(b"-----BEGIN ")
    return 0
