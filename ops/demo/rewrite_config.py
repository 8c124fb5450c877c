"""Replaces every hook_url of an ossec.conf with the demo's target, so that the demo never posts to a real service.

Nothing else changes. Each block gets its original id as an attribute, because an id can depend on the hook_url. The
result is parsed again and compared with the original, block by block.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

from common.errors import ConfigError
from common.integration import SCRIPT_PREFIX, Integration, Kind
from common.secret import Secret
from ops.demo.chats import CHATS
from producer.ossec_conf import parse_ossec_conf

if TYPE_CHECKING:
    from collections.abc import Callable

TICKET: Final = "ticket"
"""The service that receives the messages of custom scripts."""

_START: Final = re.compile(rb"<integration(?=[\s>])([^>]*)>")
_END: Final = b"</integration>"
_HOOK_URL: Final = re.compile(rb"(<hook_url(?:\s[^>]*)?>).*?(</hook_url>)", re.DOTALL)
_OWN_ID: Final = re.compile(rb"\sid\s*=")


def redirect(content: bytes, address: str, *, file: str) -> tuple[bytes, tuple[Integration, ...]]:
    """Return the file with `ADDRESS/ID` as the hook_url of each integration, and its integrations.

    Raises ConfigError if it is not an ossec.conf, has no integration, or has a block that cannot be redirected.
    """
    originals = parse_ossec_conf(content, file=file).integrations
    if not originals:
        raise ConfigError("has no valid <integration>: run `courier check` for the reasons", file=file)
    changed = _rewritten(content, originals, lambda integration: f"{address}/{integration.id}")
    integrations = parse_ossec_conf(changed, file=file).integrations
    for original, integration in zip(originals, integrations, strict=False):
        _compare(original, integration, address)
    if len(originals) != len(integrations):
        raise ConfigError("cannot be redirected to the demo's target", file=file)
    return changed, integrations


def service_of(integration: Integration) -> str:
    """Return the target's service that receives an integration's messages.

    A block such as `custom-teams` gets Courier's own code for Teams; other scripts are replaced by the sample's.
    """
    chat = integration.name.removeprefix(SCRIPT_PREFIX)
    if integration.kind is Kind.SCRIPT:
        return chat if chat in CHATS else TICKET
    return integration.name


def _rewritten(
    content: bytes, integrations: tuple[Integration, ...], address_of: Callable[[Integration], str]
) -> bytes:
    lines = [0, *(found.end() for found in re.finditer(b"\n", content))]
    pieces, at = [], 0
    for integration in integrations:
        start = _START.search(content, max(at, lines[integration.line - 1]))
        end = content.find(_END, start.end()) if start else -1
        if start is None or end < 0:
            raise _not_redirected(integration)
        pieces += [content[at : start.start()], _opening(start[1], integration)]
        pieces.append(_body(content[start.end() : end], integration, address_of(integration).encode()))
        at = end
    return b"".join([*pieces, content[at:]])


def _opening(attributes: bytes, integration: Integration) -> bytes:
    own = b"" if _OWN_ID.search(attributes) else f' id="{integration.id}"'.encode()
    return b"<integration" + own + attributes + b">"


def _body(body: bytes, integration: Integration, address: bytes) -> bytes:
    """Return a block's content with the new hook_url, which a script's block gets even if it had none."""
    body, found = _HOOK_URL.subn(lambda match: match[1] + address + match[2], body)
    if not found and integration.kind is Kind.SCRIPT:
        body += b"<hook_url>" + address + b"</hook_url>"
    return body


def _compare(original: Integration, integration: Integration, address: str) -> None:
    hook_url = integration.hook_url
    if hook_url is not None and hook_url != Secret(f"{address}/{original.id}"):
        raise _not_redirected(original)
    if msgspec.structs.replace(integration, hook_url=original.hook_url, line=original.line) != original:
        raise _not_redirected(original)


def _not_redirected(integration: Integration) -> ConfigError:
    problem = (
        "cannot be redirected to the demo's target: write one plain <hook_url> in the block, without comments in it"
    )
    return ConfigError(problem, file=integration.file, line=integration.line, element="integration")
