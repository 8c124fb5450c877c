"""Redaction masks every secret in every form, even if truncated, and leaves other text unchanged."""

from __future__ import annotations

import html
import json
from base64 import b64encode, urlsafe_b64encode
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from requests import Request

from common.integration import Integration
from common.secret import MASK, Secret
from common.settings.load import load_settings
from ops.admin.render import Renderer
from tests.support.fakes import policy
from workers.alert.alert import Alert
from workers.redaction import Redactor, _folded

TOKEN = "S3cr3tT0k3nOf24Characters"
_CHARACTERS = st.characters(min_codepoint=33, max_codepoint=0x17F, exclude_categories=["Cc", "Cf", "Zs"])
KEY = st.text(_CHARACTERS, min_size=8, max_size=20).map("{}7~".format)
"""With a fixed ending, so that no key equals a text such as `Content-Length`, which every rendered request contains."""

SHOWN = {"pretext": "Wazuh says", "channel": "#soc", "username": "wazuh", "icon_url": "https://x.example/a.png", "n": 3}


def block(**settings: str) -> Integration:
    secrets: dict[str, Any] = {name: Secret(value) for name, value in settings.items()}
    return Integration(id="x", name="custom-x", **secrets)


def redactor(environ: dict[str, str] | None = None, **settings: str) -> Redactor:
    return Redactor.of(block(**settings), environ=environ or {})


@given(KEY)
def test_key_is_masked_in_every_form(key: str) -> None:
    masked = redactor(api_key=key)
    forms = [key, quote(key, safe=""), quote(key), quote_plus(key), html.escape(key), repr(key)[1:-1]]
    escaped = json.dumps(key)[1:-1]
    forms += [escaped, escaped.replace("/", "\\/"), json.dumps(key, ensure_ascii=False)[1:-1]]
    forms += [b64encode(key.encode()).decode()]
    if key.upper().lower() == key.lower():  # not so of a long s or a dotless i
        forms.append(key.upper())
    for form in forms:
        assert masked.text(f"a {form} b") == f"a {MASK} b"


@given(before=st.binary(max_size=9), after=st.binary(max_size=9), urlsafe=st.booleans())
def test_base64_of_a_longer_text_does_not_hide_the_secret(before: bytes, after: bytes, *, urlsafe: bool) -> None:
    encode = urlsafe_b64encode if urlsafe else b64encode
    encoded = encode(before + TOKEN.encode() + after).decode()
    assert MASK in (shown := redactor(api_key=TOKEN).text(encoded))
    assert len(shown) - len(MASK) <= len(encoded) - len(TOKEN) * 8 // 6 + 3


@given(st.text(), st.text(), st.text())
def test_folding_is_independent_of_neighbouring_characters(a: str, b: str, c: str) -> None:
    assert _folded(a + b + c) == _folded(a) + _folded(b) + _folded(c)
    assert len(_folded(b)) == len(b)


SECRET_PARTS = [
    ({"hook_url": "https://h.example/services/T0/B0/tok123"}, ["tok123", "services/T0/B0/tok123", "T0/B0/tok123"]),
    ({"hook_url": "https://h.example/x?key=short1&sig=q"}, ["short1", "key=short1&sig=q", "x?key=short1&sig=q"]),
    (
        {"hook_url": "https://me:p%40ss@h.example/"},
        ["me:p%40ss", "me:p@ss", "p@ss", "p%40ss", b64encode(b"me:p@ss").decode(), "https://me:p@ss@h.example/"],
    ),
    ({"hook_url": "https://h.example/a/tok123?to=me@h.example"}, ["tok123", "a/tok123", "me@h.example"]),
    ({"hook_url": "https://me:pa/ss@h.example/x"}, ["https://me:pa/ss@h.example/x"]),
    ({"options": '{"dsn": "postgres://me:passw@db.example/x"}'}, ["passw", "postgres://me:passw@db.example/x"]),
    ({"hook_url": "https://t0ken@h.example/"}, [b64encode(b"t0ken:").decode(), "t0ken@"]),
    ({"hook_url": "https://me:pässword@h.example/"}, [b64encode("me:pässword".encode("latin-1")).decode()]),
    ({"options": '{"a": [{"b": {"c": ["pin4"]}}], "a": "first-of-two"}'}, ["pin4", "first-of-two"]),
    ({"options": '{"headers": [{"name": "Authorization", "value": "Bearer abc-123"}]}'}, ["Bearer abc-123", "abc-123"]),
    ({"options": '{"big": 1' + "0" * 5000 + ', "token": "after-it"}'}, ["after-it"]),
    ({"options": '{"icon_url": "https://me:pass@h.example/a.png?sig=abcdef"}'}, ["me:pass", "pass", "abcdef"]),
    ({"options": "--user me --password 'hunter22'"}, ["hunter22", "--user me --password 'hunter22'"]),
    ({"api_key": "ΟΔΟΣ-Σ"}, ["ΟΔΟΣ-ΣΑ", "ΟΔΟΣ-Σ".lower()]),
    ({"api_key": "İstanbul-4"}, ["İSTANBUL-4"]),
]


@pytest.mark.parametrize(("settings", "quoted"), SECRET_PARTS)
def test_parts_of_a_secret_are_masked(settings: dict[str, str], quoted: list[str]) -> None:
    masked = redactor({}, **settings)
    parts = [part for text in quoted for part in (text, text.upper() if text.isascii() and "=" not in text else text)]
    assert [text for text in parts if text in masked.text(f"<{text}>")] == []


def test_secret_environment_variables_are_masked() -> None:
    environ = {"HTTPS_PROXY": "http://me:pr0xy@proxy:3128", "no_proxy": "internal.example", "MY_TOKEN": "abcdef"}
    chosen = policy(environment={"MINE": Secret("mine-mine"), "DEBUG": Secret("1")}, proxy=Secret("http://u:pw12@p:1"))
    script, native = (Redactor.of(Integration(id="x", name=name), chosen, environ) for name in ("custom-x", "slack"))
    said = f"me:pr0xy {b64encode(b'me:pr0xy').decode()} abcdef mine-mine pw12 internal.example proxy:3128 1"
    assert script.text(said) == f"{MASK} {MASK} {MASK} {MASK} {MASK} internal.example proxy:3128 1"
    assert native.text(said) == f"{MASK} {MASK} abcdef {MASK} {MASK} internal.example proxy:3128 1"


def test_secrets_of_fewer_than_four_characters_are_not_masked() -> None:
    said = "the service at api.example denied a request: bad key"
    short = redactor(api_key="e", hook_url="https://a:b@h.example/k?a=b", options='{"pin": "key"}')
    assert short.text(said) == said
    assert redactor(api_key="evil").text("evil e") == f"{MASK} e"


def test_text_without_secrets_is_unchanged() -> None:
    options = json.dumps(SHOWN | {"tags": ["a", "on", "no"]})
    said = f"{json.dumps(SHOWN)} at hooks.example: no services, Bearer expected"
    assert redactor(options=options, hook_url="https://hooks.example/services/T0/B0/tok123").text(said) == said


@given(text=st.text(max_size=200), size=st.integers(0, 150), at=st.integers(0, 200))
def test_truncation_shows_no_part_of_a_secret(text: str, size: int, at: int) -> None:
    """A secret cut by the transport, the search window or the size limit is removed or becomes one whole mask."""
    masked = Redactor([TOKEN])
    said = text[:at].replace("*", "") + TOKEN + text[at:].replace("*", "")
    for body in (said.encode("utf-8", "replace"), said.encode("utf-8", "replace")[: at + 12]):
        shown, _ = masked.beginning(body, size, is_cut=True)
        assert "s3c" not in shown.replace(MASK, "").lower().replace(text.lower(), "")
    shown, _ = masked.end(said[at + 5 :], size, is_cut=True)
    assert "ters" not in shown.lower() or "ters" in text.lower()
    assert len(shown.replace(MASK, "")) <= size


def test_truncation_is_reported_correctly() -> None:
    masked = Redactor([TOKEN])
    assert masked.beginning(b"abc", 3) == ("abc", False)
    assert masked.beginning(b"abcd", 3) == ("abc", True)
    assert masked.end("abc", 3) == ("abc", False)
    assert masked.end("abcd", 3) == ("bcd", True)
    assert masked.beginning(f"ab{TOKEN}cd".encode(), 4) == (f"ab{MASK}", True)
    assert masked.end(f"ab{TOKEN}cd", 4) == (f"{MASK}cd", True)


def test_overlapping_secrets_become_one_mask() -> None:
    assert Redactor(["xyzabc", "abcdef"]).text("1 xyzabcdef 2") == f"1 {MASK} 2"


@given(key=st.text(), url=st.text(), options=st.text(), said=st.text(), environ=st.dictionaries(st.text(), st.text()))
def test_any_text_can_be_redacted(key: str, url: str, options: str, said: str, environ: dict[str, str]) -> None:
    assert isinstance(redactor(environ, api_key=key, hook_url=f"https://{url}", options=options).text(said), str)


@given(KEY)
def test_url_is_masked_as_it_is_sent(key: str) -> None:
    url = f"https://hooks.example/a/{key.replace('/', '').replace('#', '').replace('?', '').replace(chr(92), '')}"
    sent = Request("GET", url).prepare().url or ""
    assert urlsplit(sent).path not in redactor(hook_url=url).text(f"no {sent} here")


@given(KEY, st.sampled_from(["slack", "shuffle", "pagerduty", "virustotal", "maltiverse", "custom-x"]))
def test_rendered_calls_contain_no_secret(key: str, name: str) -> None:
    """An alert that quotes every secret is rendered without them."""
    url, option = f"https://hooks.example/services/{quote(key, safe='')}", f"opt-{key}"
    block = Integration(
        id="x",
        name=name,
        api_key=Secret(key if key.isascii() else "k3yk3yk3y"),
        hook_url=Secret(url),
        options=Secret(json.dumps({"pretext": "Wazuh says", "api_token": option, "routing_key": key})),
        alert_format="json",
    )
    settings = load_settings(file=None, environment={}, cwd=Path("/nonexistent"))
    rendered = Renderer(block, settings.policy(block), settings.worker).render(Alert(_quoting(key, url, option), "id"))
    assert rendered.outcome == "send", rendered
    shown = repr(rendered)
    secrets = {key, url, option, block.api_key.reveal() if block.api_key else key, quote(key, safe="")}
    assert not any(secret in shown or json.dumps(secret)[1:-1] in shown for secret in secrets)
    assert MASK in shown


def _quoting(*secrets: str) -> bytes:
    alert = {
        "timestamp": "2026-01-31T08:00:00.000+0000",
        "rule": {"level": 7, "id": "550", "description": " ".join(secrets), "groups": list(secrets)},
        "agent": {"id": "001", "name": "web01"},
        "manager": {"name": "m"},
        "id": "1.2",
        "full_log": " ".join(secrets),
        "syscheck": {"path": "/x", "md5_after": "0" * 32, "sha1_after": secrets[0]},
        "data": {"url": secrets[1]},
        "location": "syscheck",
    }
    return json.dumps(alert, ensure_ascii=False).encode()
