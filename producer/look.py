r"""A first look at a line, which tells at less cost that an alert is for nobody (`ops.bench.scanning`).

It decodes only what some filter looks at and asks whether an alert with the same values has turned out to match
nothing; or `rule.level` alone, if that will do, and the decoder itself refuses what is high enough. The decoder still
goes through the whole line and is as strict as ever, so what is no alert is noticed as without this look. Whatever it
has not met, or cannot read, is for the plain way to decide.

Cheaper still would be to search the bytes for `"level":1`. But the level may stand elsewhere too, be written
`\u006cevel` or come twice, and half a line, or two in one, would pass for an alert that nobody wants, uncounted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from producer.line import HIGHEST_INT, Line, LineField, Rule

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from producer.block import Block

WORTHWHILE_LEVEL: Final = 7
"""From here on the level alone turns down most alerts: of the bench's corpus nine in ten (`ops.bench.corpus`)."""

MAX_REMEMBERED: Final = 8192
"""How many combinations of values are remembered."""

UNDECIDED: Final = (KeyError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What is raised for a line that is for the plain way to decide."""

_Field = tuple[str, Any, Any]
_KEY: Final[Any] = {"frozen": True, "gc": False}


class Look:
    """What is known of alerts that match none of `blocks`."""

    def __init__(self, blocks: Sequence[Block]) -> None:
        floor = min((block.level for block in blocks), default=0)
        self._by_level = floor >= WORTHWHILE_LEVEL
        line = _below(floor) if self._by_level else _line_with(set().union(*(block.looks_at for block in blocks)))
        self._decode = msgspec.json.Decoder(line).decode
        self._unwanted: dict[Any, bool] = {}

    def pass_over(self, raws: Iterable[bytes]) -> Iterator[object]:
        """Give something for each line that is an alert which certainly matches nothing.

        For another it raises one of UNDECIDED, and goes on behind that line when it is asked again. All of it runs in
        C: a loop in Python would cost a tenth more.
        """
        decoded = map(self._decode, raws)
        return decoded if self._by_level else map(self._unwanted.__getitem__, decoded)

    def remember(self, raw: bytes) -> None:
        """Learn that this alert matches nothing."""
        if self._by_level:  # another alert of that level may match
            return
        if len(self._unwanted) >= MAX_REMEMBERED:
            self._unwanted.clear()
        try:
            self._unwanted[self._decode(raw)] = True
        except UNDECIDED:
            return


def _below(floor: int) -> type[msgspec.Struct]:
    """Return a `Line` that is refused from this level on: to compare it later costs 0.05 us more."""
    level = Annotated[int, msgspec.Meta(ge=0, le=min(floor - 1, HIGHEST_INT))]
    return _line([("level", level, 0)], [])


def _line_with(looked_at: Collection[str]) -> type[msgspec.Struct]:
    """Return `Line` with only those of its fields that are looked at, each read as strictly as ever."""
    of_rule = {LineField.LEVEL: "level", LineField.RULE_ID: "id", LineField.GROUPS: "groups"}
    return _line(_fields(Rule, {of_rule.get(LineField(one)) for one in looked_at}), _fields(Line, looked_at))


def _line(of_rule: list[_Field], beside: list[_Field]) -> type[msgspec.Struct]:
    return msgspec.defstruct("Line", [("rule", msgspec.defstruct("Rule", of_rule, **_KEY)), *beside], **_KEY)


def _fields(kind: type[msgspec.Struct], names: Collection[str | None]) -> list[_Field]:
    fields = msgspec.structs.fields(kind)
    return [(field.name, field.type, field.default) for field in fields if field.name in names]
