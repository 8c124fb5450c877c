"""Which certificates a target is checked against, where `ca_bundle` does not say it.

What administrators and other programs agree on comes first: the variables of OpenSSL, requests and curl, then what the
system trusts, whose place differs by distribution, then the file that comes with Courier's libraries. What a variable
names is never passed over in silence for the next.
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
    from collections.abc import Iterable, Mapping

VARIABLES: Final = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_DIR")
"""The first that is set and not empty counts. A path of any of them may be a file or a folder."""

FILES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Alpine
    "/etc/pki/tls/certs/ca-bundle.crt",  # RHEL and its kin, Fedora
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",  # the same, where the one above is gone
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/var/lib/ca-certificates/ca-bundle.pem",  # the same, where the one above is gone
    "/etc/ssl/cert.pem",  # Alpine, BSD
)
FOLDERS: Final = ("/etc/ssl/certs", "/etc/pki/tls/certs", "/etc/pki/ca-trust/extracted/pem/directory-hash")
"""Where distributions keep what they trust, as Go's crypto/x509 (root_linux.go) lists it, too."""

_HASHED: Final = re.compile(r"[0-9a-f]{8}\.[0-9]+")
"""A certificate's name in a folder that OpenSSL can look into (openssl-rehash(1))."""

_CERTIFICATE: Final = b"-----BEGIN "


class Trust(NamedTuple):
    """A file with certificates, or a folder with one in each file. `named_by` is a setting or variable, or empty."""

    path: str
    is_folder: bool
    named_by: str = ""

    def __str__(self) -> str:
        return f"{self.path} ({self.named_by})" if self.named_by else self.path

    def fault(self) -> str:
        """Say in a few words why these cannot be used, as far as can be seen from here; empty if nothing is seen."""
        path = Path(self.path)
        try:
            if path.is_dir():
                os.listdir(path)  # noqa: PTH208 — for its error
                return "" if self.is_folder else "a folder without hashed names; run `openssl rehash` on it"
            return "" if _CERTIFICATE in path.read_bytes() else "no PEM file"
        except OSError as error:
            return error.strerror or "it cannot be read"


def named(path: str, named_by: str) -> Trust:
    """Return what an operator has chosen; whether it can be used shows at the call."""
    return Trust(path, any(_hashes(folder) for folder in path.split(os.pathsep)), named_by)


@cache
def trusted() -> Trust:
    """Return what is trusted in this process unless `ca_bundle` names something else."""
    return chosen(os.environ) or system(_openssl_first(FILES, "cafile"), _openssl_first(FOLDERS, "capath"))


def chosen(environ: Mapping[str, str]) -> Trust | None:
    """Return what a variable names, None if none does."""
    return next((named(environ[name], name) for name in VARIABLES if environ.get(name)), None)


def system(files: Iterable[str], folders: Iterable[str]) -> Trust:
    """Return what the system trusts: the first folder that OpenSSL can look into, or the first file, else the bundled.

    From a folder OpenSSL reads what a chain needs; from a file with all of them each connection takes 9 ms and 0.8 MiB.
    But a folder with fewer certificates than the file has only some of them.
    """
    counts = ((file, _count(file)) for file in files)
    file, in_file = next((found for found in counts if found[1]), ("", 0))
    folder = next((folder for folder in folders if _hashes(folder) >= max(1, in_file)), "")
    if folder:
        return Trust(folder, is_folder=True)
    return Trust(file or DEFAULT_CA_BUNDLE_PATH, is_folder=False)


def _openssl_first(places: Iterable[str], kind: str) -> list[str]:
    """Return the places, before them the one that this Python's OpenSSL was built for."""
    own = getattr(ssl.get_default_verify_paths(), f"openssl_{kind}")
    return [*filter(None, [own]), *places]


def _hashes(folder: str) -> int:
    """Return how many certificates OpenSSL can look up in a folder."""
    with suppress(OSError):
        return sum(1 for file in Path(folder).iterdir() if _HASHED.fullmatch(file.name))
    return 0


def _count(file: str) -> int:
    with suppress(OSError):
        return Path(file).read_bytes().count(_CERTIFICATE)
    return 0
