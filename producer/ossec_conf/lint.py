"""The warnings about one integration: settings that are valid, but perhaps not what the author meant."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from common.services import MERGES_OPTIONS
from common.settings.secret_values import is_reference
from common.settings.values import quoted
from producer.ossec_conf.elements import REQUIRED, SECRETS, rule_ids
from producer.ossec_conf.placeholders import looks_like_placeholder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from common.integration import Integration

_HIGHEST_LEVEL: Final = 16
_ENTITIES: Final = ("&amp;", "&lt;", "&gt;", "&quot;", "&apos;", "&#")


def lint(integration: Integration, texts: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, str]]:
    """Yield element and warning; `texts` holds the texts of the block by element. No warning contains a secret."""
    if integration.name != integration.name.strip():
        yield "name", "has spaces or line breaks at its ends, and they count: the script's file needs them too"
    yield from _about_repeated(texts)
    yield from _about_rules(integration, texts)
    yield from _about_groups(integration.group)
    if integration.level > _HIGHEST_LEVEL:
        yield "level", f"no rule has a level above {_HIGHEST_LEVEL}: no alert passes"
    if integration.name in REQUIRED:
        yield from _about_stock_name(integration)
    yield from _about_secrets(integration, texts)


def _about_repeated(texts: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, str]]:
    """Warn of repeated elements: the last one counts, except that rule_id accumulates (spec 1.3)."""
    for element, values in texts.items():
        if len(values) > 1 and element != "rule_id":
            last = "the last one" if element in SECRETS else f"the last one, {quoted(values[-1])},"
            yield element, f"occurs {len(values)} times in this block: {last} counts; remove the others"


def _about_rules(integration: Integration, texts: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, str]]:
    values = texts.get("rule_id", ())
    if values and integration.rule_ids is None:
        yield "rule_id", "is empty, which means no filter: alerts of every rule pass"
    elif integration.rule_ids == ():
        yield "rule_id", "is 0, which is not a rule: no alert passes"
    elif values and rule_ids(values).ignored:
        numbers = ", ".join(map(str, integration.rule_ids or ()))
        yield "rule_id", f"is only read in part: only {numbers} counts; write numbers with commas between them"


def _about_groups(group: str | None) -> Iterator[tuple[str, str]]:
    if group is None:
        return
    if not group:
        yield "group", "is empty: no alert passes; remove it to let all pass"
    items = group.split(",")
    if any(item != item.strip() for item in items):
        yield "group", "has spaces or line breaks at an item, and they count: write a,b"
    if "|" in group:
        yield "group", "has a | in it, which separates nothing: write a,b"


def _about_stock_name(integration: Integration) -> Iterator[tuple[str, str]]:
    if not integration.wants_json:
        yield "alert_format", "is not json: the stock script would fail; here it makes no difference (D17)"
    if integration.options is not None and integration.name not in MERGES_OPTIONS:
        yield "options", f"has no effect: {integration.name} does not use it"
    if integration.name == "virustotal" and integration.timeout_s <= 0:
        yield "timeout", "leaves no time for a response: write seconds, such as 10"
    if integration.name == "virustotal" and integration.retries < 0:
        yield "retries", "exceeds 2147483647 and is negative: the stock script then sends no request (C17); write 3"
    if "api_key" in REQUIRED[integration.name] and not integration.api_key:
        yield "api_key", "is empty: the service will refuse it"


def _about_secrets(integration: Integration, texts: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, str]]:
    for element, secret in (("hook_url", integration.hook_url), ("api_key", integration.api_key)):
        written = texts[element][-1] if element in texts else ""
        text = secret.reveal() if secret else ""
        if written != text and not is_reference(written.strip()):
            yield element, "has spaces or line breaks around it; Courier removes them (D20)"
        if re.search(r"\s", text):
            yield element, "has a space or line break in it, which is sent too; the stock Integrator splits it there"
        if looks_like_placeholder(text):
            what = "key" if element == "api_key" else "address"
            yield element, f"looks like a placeholder that was never replaced: write the {what} itself"
        if any(entity in text for entity in _ENTITIES):
            yield element, "has an entity such as &amp; in it, which is not decoded in ossec.conf: write & itself"
