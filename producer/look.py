r"""A first look at a line, which tells in half the time that an alert is for nobody.

It decodes only what some filter looks at, `rule.level` alone if that will do, and asks whether an alert with the same
values has turned out to match nothing. The decoder still goes through the whole line and is as strict as ever, so what
is no alert is noticed as without this look. Whatever it has not met, or cannot read, is for the plain way to decide.

Cheaper still would be to search the bytes for `"level":1`. But the level may stand elsewhere too, be written
`\u006cevel` or come twice, and half a line, or two in one, would pass for an alert that nobody wants, uncounted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from producer.line import Line, LineField, Rule

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from producer.block import Block

WORTHWHILE_LEVEL: Final = 7
"""From here on the level alone turns down most alerts: of the bench's corpus nine in ten (`ops.bench.corpus`)."""

HIGHEST_LEVEL: Final = 16
"""The highest that a rule can have. What claims more is rare enough for the plain way."""

MAX_REMEMBERED: Final = 8192
"""How many combinations of values are remembered."""

REFUSALS: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What the decoder raises for a line that it does not take."""

_KEY: Final[Any] = {"frozen": True, "gc": False}


class Look:
    """What is known of alerts that match none of `blocks`."""

    def __init__(self, blocks: Sequence[Block]) -> None:
        floor = min((block.level for block in blocks), default=0)
        self._by_level = floor >= WORTHWHILE_LEVEL
        looked_at = {LineField.LEVEL} if self._by_level else set[str]().union(*(block.looks_at for block in blocks))
        self._decode = msgspec.json.Decoder(_line_with(looked_at)).decode
        self._unwanted: set[Any] = set()
        for level in range(min(floor, HIGHEST_LEVEL + 1)) if self._by_level else ():
            self._unwanted.add(self._decode(b'{"rule":{"level":%d}}' % level))

    def unwanted(self, raws: Iterable[bytes]) -> list[bool]:
        """Return of each line whether it is an alert that certainly matches nothing."""
        # All in C, 0.75 us a line: a loop here costs a tenth more. An error ends `extend` after what came before it,
        # and the lines go on behind the one that caused it.
        told: list[bool] = []
        tell = map(self._unwanted.__contains__, map(self._decode, raws))
        while True:
            try:
                told.extend(tell)
            except REFUSALS:
                told.append(False)
            else:
                return told

    def remember(self, raw: bytes) -> None:
        """Learn that this alert matches nothing."""
        if self._by_level:  # another alert of that level may match
            return
        if len(self._unwanted) >= MAX_REMEMBERED:
            self._unwanted.clear()
        try:
            self._unwanted.add(self._decode(raw))
        except REFUSALS:
            return


def _line_with(looked_at: Collection[str]) -> type[msgspec.Struct]:
    """Return `Line` with only those of its fields that are looked at, each read as strictly as ever."""
    of_rule = {LineField.LEVEL: "level", LineField.RULE_ID: "id", LineField.GROUPS: "groups"}
    rule = msgspec.defstruct("Rule", _fields(Rule, {of_rule.get(LineField(one)) for one in looked_at}), **_KEY)
    return msgspec.defstruct("Line", [("rule", rule), *_fields(Line, looked_at)], **_KEY)


def _fields(kind: type[msgspec.Struct], names: Collection[str | None]) -> list[tuple[str, Any, Any]]:
    fields = msgspec.structs.fields(kind)
    return [(field.name, field.type, field.default) for field in fields if field.name in names]
