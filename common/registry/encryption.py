"""Encrypts the integrations that producers publish in Redis, so that only holders of the secret key can read them.

The key is COURIER_SECRET_KEY, or the file `secret.key` in the state directory, which the first process that needs it
creates. Workers on other machines need a copy of it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from typing import TYPE_CHECKING

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from common.errors import SettingsError
from common.files import exists
from common.permissions import explain, read_trusted, refuse_other_writers

if TYPE_CHECKING:
    from pathlib import Path

    from common.secret import Secret


class Authenticator:
    """Signs data for one purpose and verifies these signatures (HMAC-SHA256, 64 hex digits)."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def sign(self, *parts: bytes) -> str:
        """Return the signature of these parts in this order."""
        # With its length before each part, (b"ab", b"c") and (b"a", b"bc") have different signatures.
        framed = b"".join(b"%d:%b" % (len(part), part) for part in parts)
        return hmac.digest(self._key, framed, "sha256").hex()

    def is_signed(self, signature: str, *parts: bytes) -> bool:
        """Return whether `signature` was made for these parts with the same key and purpose."""
        return hmac.compare_digest(signature.encode("utf-8", "replace"), self.sign(*parts).encode())


class Cipher:
    """Encrypts and decrypts with one key (32 bytes, URL-safe base64: the format of the Fernet specification)."""

    def __init__(self, key: bytes) -> None:
        """Raises SettingsError if the key is invalid."""
        try:
            self._fernet, self._key = Fernet(key), base64.urlsafe_b64decode(key)
        except ValueError as error:
            raise SettingsError(
                "the secret key is not 32 bytes in URL-safe base64; delete it, so that Courier creates a new one, "
                "or copy the file secret.key from the manager"
            ) from error

    def encrypt(self, clear: bytes) -> bytes:
        """Return `clear`, encrypted and authenticated."""
        return self._fernet.encrypt(clear)

    def decrypt(self, encrypted: bytes) -> bytes:
        """Return the decrypted text. Raises SettingsError if it was encrypted with another key."""
        try:
            return self._fernet.decrypt(encrypted)
        except InvalidToken as error:
            raise SettingsError(
                "the registry in Redis was encrypted with another secret key; give this process the producer's key: "
                "copy secret.key from its state directory, or set COURIER_SECRET_KEY_FILE; if it has that key, "
                "another client wrote to the registry: delete courier:integrations in Redis and restart the producer"
            ) from error

    def authenticator(self, purpose: str) -> Authenticator:
        """Return the authenticator for one purpose, with its own key that is derived from the secret key (RFC 5869)."""
        info = f"courier {purpose}".encode()
        return Authenticator(HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(self._key))

    def digest(self, *texts: str) -> str:
        """Return a keyed digest (32 hex digits) that replaces secret texts. Without the key nobody can test guesses."""
        return hmac.new(self._key, "\0".join(texts).encode(), hashlib.sha256).hexdigest()[:32]


def load_cipher(key: Secret | None, state_dir: Path) -> Cipher:
    """Return the cipher for `key`, or for the key file in `state_dir`, which is created if it is missing.

    Raises SettingsError if the key cannot be read or created, or if other users can write the directory or the file.
    """
    if key:
        return Cipher(key.reveal().encode())
    path = state_dir / "secret.key"
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        refuse_other_writers(state_dir, state_dir.stat(), str(path))
        _create_once(path)
        return Cipher(read_trusted(path, str(path)).strip())
    except OSError as error:
        raise SettingsError(
            f"{path}: {explain(error)}; name a writable state directory (state.dir, --state, "
            "COURIER_STATE_DIR) or give the key in COURIER_SECRET_KEY"
        ) from error


def _create_once(path: Path) -> None:
    """Create the key file if it is missing. If two processes do so at the same time, one complete file remains."""
    if exists(path):
        return
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(Fernet.generate_key())
        os.link(fresh, path)  # unlike a rename, fails if another process was faster
    except FileExistsError:
        pass
    finally:
        fresh.unlink()
