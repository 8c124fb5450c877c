"""The bodies of a webhook that takes several alerts in one request: a JSON array, or a line for each.

Every body is a list, that of a single alert, too, so that a receiver reads all in one way.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from common.services.webhook import BatchFormat
from workers.integrations.webhook.formats import CLOUDEVENTS_TYPE

if TYPE_CHECKING:
    from collections.abc import Sequence

NDJSON_TYPE: Final = "application/x-ndjson"
"""github.com/ndjson/ndjson-spec, 3.1."""

CLOUDEVENTS_BATCH_TYPE: Final = "application/cloudevents-batch+json"
"""cloudevents.io, "JSON Event Format", 4."""


def list_type(content_type: str, form: BatchFormat) -> str:
    """Return the type of a list of documents of this type."""
    if form is BatchFormat.NDJSON:
        return NDJSON_TYPE
    return CLOUDEVENTS_BATCH_TYPE if content_type == CLOUDEVENTS_TYPE else content_type


def id_of_list(ids: Sequence[str]) -> str:
    """Return an id for a list of deliveries: the same for the same list."""
    return f"batch:{hashlib.blake2b(' '.join(ids).encode(), digest_size=16).hexdigest()}"


def wrap(document: bytes, form: BatchFormat) -> bytes:
    """Return the list of one document."""
    if form is BatchFormat.NDJSON:
        return document.replace(b"\r", b" ").replace(b"\n", b" ") + b"\n"  # JSON has line breaks between values only
    return b"[" + document + b"]"


def join(bodies: Sequence[bytes], form: BatchFormat) -> bytes:
    """Return one list instead of several, which `wrap` has made."""
    if form is BatchFormat.NDJSON:
        return b"".join(bodies)
    return b"[" + b",".join(body[1:-1] for body in bodies) + b"]"
