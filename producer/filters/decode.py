"""Decodes the fields of one line that filters use: `rule.level`, `rule.id`, `rule.groups` and `location`.

A typed decoder reads what the manager writes, in about 1 us. A line that it refuses goes to the lenient reader, which
gives the same results and accepts more; a line that this refuses too is invalid. Only conditions on other fields need
the whole alert, which takes 5 to 10 us.
"""

from __future__ import annotations

from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from common import lenient_json
from common.errors import CourierError
from common.json_depth import check_depth
from producer.broken_lines import alert_spans

if TYPE_CHECKING:
    from collections.abc import Callable

_INT_MIN: Final = -(2**31)
INT_MAX: Final = 2**31 - 1
_UNSIGNED: Final = 2**32 - 1


class RejectReason(StrEnum):
    """Why a line is not an alert: a closed list, used as a metric label."""

    INVALID_JSON = "invalid_json"
    NUL_BYTE = "nul_byte"
    NOT_AN_OBJECT = "not_an_object"
    NO_RULE = "no_rule"


class InvalidAlert(CourierError):  # noqa: N818 — "invalid alert" is the term in the metrics too
    """Raised if a line is not an alert. The text quotes nothing of the line."""

    def __init__(self, reason: RejectReason, detail: str) -> None:
        """Join reason and detail in the text; `detail` is for a person."""
        self.reason, self.detail = reason, detail
        super().__init__(f"{reason}: {detail}")


class FilterField(StrEnum):
    """The fields that filters use, as labels for values of the wrong type (D1)."""

    RULE = "rule"
    LEVEL = "level"
    RULE_ID = "rule_id"
    GROUPS = "groups"
    LOCATION = "location"


class Rule(msgspec.Struct, frozen=True, gc=False):
    """The fields of the rule that filters use.

    `level` is unsigned as the stock Integrator compares it, 0 if absent. `id` is empty if absent.
    Equal rules pass the same filters and there are few distinct ones, so it is used as a cache key.
    """

    level: Annotated[int, msgspec.Meta(ge=0, le=INT_MAX)] = 0
    id: str = ""
    groups: tuple[str, ...] = ()


class FilterFields(msgspec.Struct, frozen=True, gc=False):
    """The fields of one line that filters use. `location` is UNSET if absent, which differs from empty."""

    rule: Rule
    location: str | UnsetType = UNSET

    @property
    def type_errors(self) -> tuple[FilterField, ...]:
        """The fields with a value of the wrong type; such a value counts as absent (D1)."""
        return ()

    @property
    def is_exact(self) -> bool:
        """Whether `rule` has level, id and groups as the line has them, so that conditions on them can use it.

        It is not if one of them could be a default. Absent groups are no default: they have no value, as empty ones.
        """
        return self.rule.level > 0 and self.rule.id != ""


class LenientFilterFields(FilterFields, frozen=True, gc=False):
    """A line that only the lenient reader accepts; it can have values of the wrong type."""

    type_errors: tuple[FilterField, ...] = ()

    @property
    def is_exact(self) -> bool:
        """Whether `rule` is as the line has it: not certain."""
        return False


_NO_OBJECT: Final = "the line is JSON, but not an object"
_KEYS: Final = frozenset(FilterFields.__struct_fields__)

_decode: Final = msgspec.json.Decoder(FilterFields).decode
_decode_whole: Final = msgspec.json.Decoder().decode


def decode_line(raw: bytes) -> FilterFields:
    """Return the fields that filters use of `raw`, one line of the source with or without its line end.

    Raises InvalidAlert if it is not JSON, not an object or has no rule.
    """
    try:
        check_depth(raw)
        return _decode(raw)
    except (ValueError, RecursionError):  # of any kind: all of msgspec's when decoding, and UnicodeDecodeError
        return decode_leniently(raw)


def decode_alert(raw: bytes) -> dict[str, Any]:
    """Return the whole alert of a line that `decode_line` accepts, for conditions. Raises InvalidAlert for others.

    Of duplicate keys the last one wins (D3). Bytes that are not UTF-8 become lone surrogates.
    """
    try:
        check_depth(raw)
        alert = _decode_whole(raw)
    except (ValueError, RecursionError):  # as above
        alert = _parse_leniently(raw, lenient_json.parse_whole)
    if not isinstance(alert, dict):
        raise InvalidAlert(RejectReason.NOT_AN_OBJECT, _NO_OBJECT)
    return alert


def decode_leniently(raw: bytes) -> FilterFields:
    """Decode a line that the typed decoder refuses; slower. Raises InvalidAlert."""
    fields = _parse_leniently(raw, partial(lenient_json.parse, levels=3, keys=_KEYS))
    if b"\0" in raw and len(alert_spans(raw)) > 1:
        raise InvalidAlert(RejectReason.NUL_BYTE, "another alert follows behind a NUL byte")
    if not isinstance(fields, dict):
        raise InvalidAlert(RejectReason.NOT_AN_OBJECT, _NO_OBJECT)
    if "rule" not in fields:
        raise InvalidAlert(RejectReason.NO_RULE, "the line has no rule")
    wrong: list[FilterField] = []
    rule = _rule(fields["rule"], wrong)
    location = fields.get("location", UNSET)
    if not isinstance(location, str | UnsetType):
        wrong.append(FilterField.LOCATION)
        location = UNSET
    return LenientFilterFields(rule, location, tuple(wrong))


def _parse_leniently(raw: bytes, parse: Callable[[bytes], object]) -> object:
    try:
        return parse(raw)
    except (ValueError, RecursionError) as error:
        reason = RejectReason.NUL_BYTE if b"\0" in raw else RejectReason.INVALID_JSON
        raise InvalidAlert(reason, str(error)) from None


def _rule(value: object, wrong: list[FilterField]) -> Rule:
    """Read the rule; a value that is not an object counts as a rule without fields (spec 3.2)."""
    if not isinstance(value, dict):
        wrong.append(FilterField.RULE)
        return Rule()
    rule_id = value.get("id", "")
    if not isinstance(rule_id, str):
        wrong.append(FilterField.RULE_ID)
        rule_id = ""
    return Rule(_level(value.get("level", 0), wrong), rule_id, _groups(value.get("groups", ()), wrong))


def _level(value: object, wrong: list[FilterField]) -> int:
    """Read the level as a C int without the fraction, then as unsigned (spec 3.2): -1 is the highest level."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        wrong.append(FilterField.LEVEL)
        return int(value is True)
    return int(min(max(value, _INT_MIN), INT_MAX)) & _UNSIGNED


def _groups(value: Any, wrong: list[FilterField]) -> tuple[str, ...]:
    """Read the groups; of an object, its values are the groups (spec 3.2)."""
    if not isinstance(value, list | tuple | dict):
        wrong.append(FilterField.GROUPS)
        return ()
    items = value.values() if isinstance(value, dict) else value
    groups = tuple(item for item in items if isinstance(item, str))
    if len(groups) != len(value):
        wrong.append(FilterField.GROUPS)
    return groups
