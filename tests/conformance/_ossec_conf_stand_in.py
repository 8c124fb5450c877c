"""Reads the vectors' small configurations until `common.ossec_conf` is there; then delete this file."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from common.integration import Integration
from common.secret import Secret


@dataclass(frozen=True)
class Configuration:
    integrations: tuple[Integration, ...]


def parse_ossec_conf(content: bytes, *, file: str) -> Configuration:
    blocks = re.findall(r"<integration>(.*?)</integration>", content.decode(), re.DOTALL)
    read = [_integration(number, block, file) for number, block in enumerate(blocks)]
    return Configuration(tuple(integration for integration in read if integration))


def _integration(number: int, block: str, file: str) -> Integration | None:
    text = dict(re.findall(r"<(\w+)>(.*?)</\1>", block, re.DOTALL))
    rule_ids = _rule_ids(text.get("rule_id", ""))
    unusable = rule_ids is None and text.get("rule_id", "").strip()
    if unusable or not _is_json(text.get("options", "{}")):
        return None
    secrets = {name: Secret(text[name]) for name in ("hook_url", "api_key", "options") if name in text}
    return Integration(
        id=f"{text['name']}-{number}",
        name=text["name"],
        level=int(text.get("level") or 0),
        rule_ids=rule_ids,
        group=text.get("group"),
        event_location=text.get("event_location"),
        alert_format=text.get("alert_format"),
        hook_url=secrets.get("hook_url"),
        api_key=secrets.get("api_key"),
        options=secrets.get("options"),
        timeout_s=int(text.get("timeout") or 10),
        retries=int(text.get("retries") or 3),
        file=file,
    )


def _rule_ids(text: str) -> tuple[int, ...] | None:
    numbers: list[int] = []
    rest = text.lstrip(" ,")
    while rest[:1].isdigit():
        number, _, rest = rest.partition(",")
        numbers.append(int(re.match(r"\d+", number)[0]) % 2**32)  # type: ignore[index] # it begins with a digit
        rest = rest.lstrip(" ,")
    if not numbers:
        return None
    return tuple(numbers[: numbers.index(0)] if 0 in numbers else numbers)


def _is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False
