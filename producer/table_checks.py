"""Checks an integration that a table of courier.toml defines or changes: as the reader of ossec.conf checks a block."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

from common.conditions import parse_condition
from common.errors import ConditionError
from common.integration_options import parse_options
from common.services import MERGES_OPTIONS, REQUIRED, SERVICES, check_service
from common.services.declaration import Declaration
from producer.filters.index import FilterIndex
from producer.ossec_conf.elements import check_hook_url
from producer.ossec_conf.integration_ids import check_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from common.conditions import NamedCondition
    from common.integration import Integration

Value = TypeVar("Value")


def table_problems(
    integration: Integration, named: Mapping[str, NamedCondition], *, is_new: bool
) -> Iterator[tuple[str, str]]:
    """Yield the key and the problem for everything that is wrong; no problem quotes a secret.

    `is_new` if ossec.conf has no such block, so that the table's name becomes the id.
    """
    if is_new:
        yield from _problem("service", check_id, integration.id, prefix=f"the name of the table {integration.id!r} ")
    yield from _problem("service", check_service, integration.service)
    required = REQUIRED.get(integration.service, ())
    for option in required:
        if getattr(integration, option) is None:
            yield "service", f"{integration.service} needs {option}: add it to the table"
    declared = SERVICES.get(integration.service, Declaration())
    if "hook_url" in required and integration.hook_url is not None:
        url = integration.hook_url.reveal()
        found = list(_problem("hook_url", declared.hook_url or check_hook_url, url))
        yield from found or _problem("hook_url", declared.address, url)
    if integration.api_key is not None:
        yield from _problem("api_key", declared.key, integration.api_key.reveal())
    if integration.service in MERGES_OPTIONS and integration.options is not None:
        yield from _problem("options", parse_options, integration.options.reveal())
    stock = msgspec.structs.replace(integration, only=(), except_=())
    yield from _problem("event_location", FilterIndex, [stock])
    for key, texts in (("only", integration.only), ("except", integration.except_)):
        yield from condition_problems(key, texts, named)


def condition_problems(
    key: str, texts: Iterable[str], named: Mapping[str, NamedCondition]
) -> Iterator[tuple[str, str]]:
    """Yield `key` and the problem for each text that is not a condition; the problem begins with its number, from 1."""
    for number, text in enumerate(texts, start=1):
        try:
            parse_condition(text, names=named, where=f"condition {number}")
        except ConditionError as error:
            yield key, str(error)


def _problem(
    key: str, check: Callable[[Value], object] | None, value: Value, *, prefix: str = ""
) -> Iterator[tuple[str, str]]:
    try:
        if check:
            check(value)
    except ValueError as error:
        yield key, f"{prefix}{error}"
