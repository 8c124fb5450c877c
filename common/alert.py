"""The alert as a service sees it: the line's own bytes, and the fields when somebody asks for them."""

from __future__ import annotations

import json
from functools import cached_property
from typing import Any


class Alert:
    """One line of the alert log. `raw` has no line end and is handed on byte for byte (D4).

    `delivery_id` is the delivery's deterministic identity, which services that can recognise a
    duplicate are given.
    """

    def __init__(self, raw: bytes, delivery_id: str = "") -> None:
        self.raw = raw
        self.delivery_id = delivery_id

    @cached_property
    def fields(self) -> dict[str, Any]:
        """The parsed alert. Bytes that are not UTF-8 become U+FFFD. Raises ValueError if it is no JSON object."""
        parsed = json.loads(self.raw.decode("utf-8", "replace"), strict=False)
        if not isinstance(parsed, dict):
            raise ValueError("the alert is not a JSON object")  # noqa: TRY004 — one kind of bad input
        return parsed
