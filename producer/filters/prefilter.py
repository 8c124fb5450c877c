r"""Rejects alerts that match nothing at less cost than the full match (`ops.bench.scanning`).

It decodes only the fields that some filter uses and checks whether an alert with the same values is known to match
nothing. If the level or the rule's id alone decides, the decoder itself refuses alerts that may match. The decoder
still validates the whole line, so a line that is not an alert is noticed too. The full match decides about lines with
new values and lines that the decoder cannot read.

Cheaper still would be to search the bytes for `"level":1`. But the level may stand elsewhere too, be written
`\u006cevel` or come twice, and half a line, or two in one, would pass for an alert that nobody wants, uncounted.

One thing it does not count is depth: an alert that nests more than DEEPEST levels and matches nothing is passed over,
and not counted as a bad line: `check_depth` costs 0.2 us a line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Protocol

import msgspec

from producer.filters.decode import INT_MAX, FilterField, FilterFields, Rule

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from producer.filters.integration_filter import IntegrationFilter

LEVEL_PREFILTER_MIN: Final = 7
"""From here on the level alone turns down most alerts: of the bench's corpus nine in ten (`ops.bench.corpus`)."""

CACHE_SIZE: Final = 8192
"""How many combinations of values are remembered."""

MAX_IDS: Final = 2048
"""How many rule ids are remembered. A decoder for so many is made in a millisecond."""

NEEDS_FULL_MATCH: Final = (KeyError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What is raised for a line that is for the plain way to decide."""

_Field = tuple[str, Any, Any]
_KEY: Final[Any] = {"frozen": True, "gc": False}
_ONE_OF: Final[Any] = Literal


class Prefilter(Protocol):
    """What is known of alerts that match none of the blocks."""

    def reject(self, raws: Iterable[bytes]) -> Iterator[object]:
        """Give something for each line that is an alert which certainly matches nothing.

        For another it raises one of NEEDS_FULL_MATCH, and goes on behind that line when it is asked again. All
        of it runs in C: a loop in Python would cost a tenth more.
        """

    def record_miss(self, raw: bytes) -> None:
        """Learn that this alert matches nothing."""


def make_prefilter(blocks: Sequence[IntegrationFilter]) -> Prefilter:
    """Return what costs least for these blocks, each of which has a filter."""
    floor = min((block.level for block in blocks), default=0)
    looked_at = frozenset[FilterField]().union(*(block.used_fields for block in blocks))
    if floor >= LEVEL_PREFILTER_MIN:
        return _LevelPrefilter(floor)
    return _RuleIdPrefilter() if looked_at == {FilterField.RULE_ID} else _ValuePrefilter(looked_at)


class _LevelPrefilter:
    """Turns down what is below every block's level; another alert of the same level may match."""

    def __init__(self, floor: int) -> None:
        """Have it refused by the decoder from `floor` on: to compare it later costs 0.05 us more."""
        level = Annotated[int, msgspec.Meta(ge=0, le=min(floor - 1, INT_MAX))]
        self._decode = _decoder([("level", level, 0)], [])

    def reject(self, raws: Iterable[bytes]) -> Iterator[object]:
        return map(self._decode, raws)

    def record_miss(self, raw: bytes) -> None:
        pass


class _RuleIdPrefilter:
    """Turns down rules of which an alert matched nothing, where all blocks look at the rule's id and at nothing else.

    The decoder knows these ids and refuses all others: a tenth less than to look each of them up later.
    """

    def __init__(self) -> None:
        self._read = _decoder([("id", str, msgspec.NODEFAULT)], [])
        self._met, self._known, self._missed = set[str](), frozenset[str](), 0
        self._decode: Callable[[bytes], Any] = dict[bytes, object]().__getitem__  # knows none, and raises KeyError

    def reject(self, raws: Iterable[bytes]) -> Iterator[object]:
        return map(self._decode, raws)

    def record_miss(self, raw: bytes) -> None:
        try:
            rule_id = self._read(raw).rule.id
        except NEEDS_FULL_MATCH:
            return
        if rule_id in self._known:  # learned after this line was sifted
            return
        if len(self._met) >= MAX_IDS:
            self._met.clear()
        self._met.add(rule_id)
        self._missed += 1
        if 8 * self._missed >= len(self._met):  # a new decoder costs about as much as so many alerts the plain way
            self._known, self._missed = frozenset(self._met), 0
            self._decode = _decoder([("id", _ONE_OF[tuple(self._known)], msgspec.NODEFAULT)], [])


class _ValuePrefilter:
    """Turns down alerts whose values, of all that some block looks at, are those of one that matched nothing."""

    def __init__(self, looked_at: Collection[FilterField]) -> None:
        of_rule = {FilterField.LEVEL: "level", FilterField.RULE_ID: "id", FilterField.GROUPS: "groups"}
        self._decode = _decoder(
            _fields(Rule, {of_rule.get(one) for one in looked_at}), _fields(FilterFields, looked_at)
        )
        self._unwanted: dict[Any, bool] = {}

    def reject(self, raws: Iterable[bytes]) -> Iterator[object]:
        return map(self._unwanted.__getitem__, map(self._decode, raws))

    def record_miss(self, raw: bytes) -> None:
        if len(self._unwanted) >= CACHE_SIZE:
            self._unwanted.clear()
        try:
            self._unwanted[self._decode(raw)] = True
        except NEEDS_FULL_MATCH:
            return


def _decoder(of_rule: list[_Field], beside: list[_Field]) -> Callable[[bytes], Any]:
    """Return what decodes a `Line` with only these fields, each read as strictly as ever."""
    rule = msgspec.defstruct("Rule", of_rule, **_KEY)
    return msgspec.json.Decoder(msgspec.defstruct("Line", [("rule", rule), *beside], **_KEY)).decode


def _fields(kind: type[msgspec.Struct], names: Collection[str | None]) -> list[_Field]:
    fields = msgspec.structs.fields(kind)
    return [(field.name, field.type, field.default) for field in fields if field.name in names]
