"""Recognises placeholders that were not replaced: `YOUR_API_KEY`, `<HOOK>`, `https://hooks.slack.com/services/...`.

They are the most common error in published blocks. The rules are narrow, so that no real key or address is taken for a
placeholder: a word in capitals must name a kind of value, and keys are never judged by their length.
"""

from __future__ import annotations

import re
from typing import Final

_NAMED: Final = r"(?:API|KEY|TOKEN|SECRET|PASSWORD|HOOK|WEBHOOK|URL|URI|HOST|HOSTNAME|IP|ADDRESS|SERVER|ID|HERE)"
_PATTERNS: Final = (
    # YOUR_API_KEY, your-webhook-url, insert key here, REPLACE_ME, changeme
    re.compile(r"(?:your|my|insert|enter|replace|put|paste|add)[ _-].*", re.IGNORECASE | re.DOTALL),
    re.compile(r"change_?-?me|replace_?-?me|placeholder|dummy|todo|tbd|none|null", re.IGNORECASE),
    re.compile(r"secret|api_?-?key|token|webhook", re.IGNORECASE),
    # API_KEY, SLACK_WEBHOOK_URL
    re.compile(rf"(?:[A-Z]+[ _-])*{_NAMED}(?:[ _-]?[A-Z]+)*"),
    # [API_KEY], {{ key }}, %KEY%, ${KEY}
    re.compile(r"(?:\[[A-Za-z _-]+\]|\$?\{+[A-Za-z _-]+\}+|%[A-Za-z_-]+%|\$[A-Za-z_]+|\([A-Za-z _-]+\))"),
    # xxxxxxxx, 00000000, ********, ...
    re.compile(r"[xX*#.…?-]{3,}|0{8,}|(?:1234567890?)+|0123456789abcdef.*"),
)
_IN_ADDRESSES: Final = (
    re.compile(r"YOUR[A-Z]*[._/-]|[._/-]YOUR|X{4,}|/\.{3,}|…|\*{3,}"),
    re.compile(r"://(?:[^/@]*\.)?example\.(?:com|org|net)(?:[:/]|\Z)"),
    re.compile(r"/(?:[A-Z]+_)+(?:KEY|TOKEN|ID|URL|HOOK)(?:[/?]|\Z)|[\[{][A-Za-z _-]+[\]}]|%[A-Z]+_[A-Z]+%"),
    # Real Slack addresses end in three parts: https://api.slack.com/messaging/webhooks
    re.compile(r"https?://hooks\.slack\.com/(?:services/?(?:[^/]*/?){0,2})?\Z", re.IGNORECASE),
)


def looks_like_placeholder(text: str) -> bool:
    """Say whether a key or address is a placeholder."""
    text = text.strip()
    if "://" in text:
        return any(pattern.search(text) for pattern in _IN_ADDRESSES)
    return any(pattern.fullmatch(text) for pattern in _PATTERNS)
