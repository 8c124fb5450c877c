"""Signs a request as Standard Webhooks does (github.com/standard-webhooks, spec/standard-webhooks.md).

The signature is the HMAC-SHA256 of `ID.TIMESTAMP.BODY`. With two secrets there are two signatures, so that a receiver
can change from one to the other.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64encode
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def signature_headers(keys: Sequence[bytes], delivery_id: str, body: bytes, now_s: float) -> dict[str, str]:
    """Return the headers with the time, in seconds since 1970, and a signature for each key; none without a key."""
    if not keys:
        return {}
    timestamp = str(int(now_s))
    content = f"{delivery_id}.{timestamp}.".encode() + body
    signatures = (b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode() for key in keys)
    return {
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }
