"""Signs this node's cursors in Redis: whoever moved one without the secret key must not make alerts vanish.

A cursor in Redis is `CURSOR SIGNATURE`, signed for the node and the integration; version 0.1 wrote it without. Where
what Redis holds has no such signature, the producer goes on at the place that it remembers: in memory, or after a
restart in its own copy. That copy holds what was in Redis, so a signature in it says that this node signs by now.

A second producer of the node has the key: that one moves the cursor is nothing wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from common.registry.encryption import Cipher


class CursorSigner:
    """The cursors of one node."""

    def __init__(self, vault: Cipher, node: str) -> None:
        self._authenticator, self._node = vault.authenticator("cursors"), node.encode()

    def signed(self, integration_id: str, cursor: str) -> str:
        """Return the cursor as it is kept in Redis."""
        signature = self._authenticator.sign(self._node, integration_id.encode(), cursor.encode())
        return f"{cursor} {signature}"

    def is_signed(self, integration_id: str, held: str) -> bool:
        """Say whether a producer of this node wrote what Redis holds for this integration."""
        cursor, _, signature = held.partition(" ")
        parts = (self._node, integration_id.encode(), cursor.encode("utf-8", "replace"))
        return self._authenticator.is_signed(signature, *parts)

    def is_forged(self, integration_id: str, held: str, remembered: str) -> bool:
        """Say whether somebody else wrote the cursor that Redis holds, now that `remembered` was there before."""
        return not self.is_signed(integration_id, held) and self.is_signed(integration_id, remembered)


def unsigned(held: str) -> str:
    """Return the cursor of what is kept."""
    return held.partition(" ")[0]
