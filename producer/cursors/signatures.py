"""Signs this node's cursors in Redis, so that nobody without the secret key can make alerts vanish by moving one.

A cursor in Redis is `CURSOR SIGNATURE`, signed for the node and the integration; version 0.1 wrote no signature. If the
signature is missing or wrong, the producer continues from the cursor in memory or, after a restart, in its backup. The
backup holds the signed form, so a signature in it proves that this node already signs its cursors.

A second producer of the node has the same key, so its cursors are valid.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from common.registry.encryption import Cipher


class CursorSigner:
    """Signs and verifies the cursors of one node."""

    def __init__(self, vault: Cipher, node: str) -> None:
        self._authenticator, self._node = vault.authenticator("cursors"), node.encode()

    def signed(self, integration_id: str, cursor: str) -> str:
        """Return the cursor in its stored form, with the signature."""
        signature = self._authenticator.sign(self._node, integration_id.encode(), cursor.encode())
        return f"{cursor} {signature}"

    def is_signed(self, integration_id: str, held: str) -> bool:
        """Say whether a producer of this node wrote what Redis holds for this integration."""
        cursor, _, signature = held.partition(" ")
        parts = (self._node, integration_id.encode(), cursor.encode("utf-8", "replace"))
        return self._authenticator.is_signed(signature, *parts)

    def is_forged(self, integration_id: str, held: str, remembered: str) -> bool:
        """Say whether the cursor in Redis is unsigned although `remembered`, the previous one, was signed."""
        return not self.is_signed(integration_id, held) and self.is_signed(integration_id, remembered)


def unsigned(held: str) -> str:
    """Return the cursor without its signature."""
    return held.partition(" ")[0]
