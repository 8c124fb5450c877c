"""One alert: the bytes of its line, and its fields, which are parsed on first use."""

from __future__ import annotations

from typing import Any, Final

from common import lenient_json
from common.exact_json import read_json

MAX_LENIENT_DEPTH: Final = 200
"""Levels of nesting that are kept of a line that is not strict JSON. The lenient reader is recursive."""


class Alert:
    """One line of the alert log. `raw` has no line end and is passed on byte for byte (D4).

    `delivery_id` is deterministic: a repeated delivery has the same one. Services that detect duplicates receive it.
    `attempt` counts the attempts at its delivery from 1, this one included.
    """

    def __init__(self, raw: bytes, delivery_id: str = "", attempt: int = 1) -> None:
        self.raw = raw
        self.delivery_id, self.attempt = delivery_id, attempt
        self._fields: dict[str, Any] | None = None

    @property
    def fields(self) -> dict[str, Any]:
        """The parsed alert, with fractions as `RawNumber`. Bytes that are not UTF-8 become U+FFFD.

        Accepts every line that the filters accept. Raises ValueError if the line is not a JSON object; its text quotes
        nothing of the line.
        """
        if self._fields is None:  # no cached_property: until Python 3.12 all alerts of a process share its lock
            self._fields = self._parse()
        return self._fields

    def _parse(self) -> dict[str, Any]:
        text = self.raw.decode("utf-8", "replace")
        try:
            parsed = read_json(text, strict=False)
        except ValueError:
            parsed = lenient_json.parse(text.encode(), levels=MAX_LENIENT_DEPTH)
        if not isinstance(parsed, dict):
            raise ValueError("the alert is not a JSON object")  # noqa: TRY004 — one kind of bad input
        return parsed
