from __future__ import annotations

import json
from base64 import b64encode
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

from hypothesis import given
from hypothesis import strategies as st

from common.alert import Alert
from common.integration import Integration
from common.secret import MASK, Secret
from common.settings import load_settings
from ops.masking import Masker
from ops.render import Renderer

if TYPE_CHECKING:
    from pathlib import Path

KEY = st.text(st.characters(min_codepoint=33, max_codepoint=0x17F), min_size=8, max_size=20).map("{}7~".format)
"""With an ending, or `Content-Length` might be one, which stands in what is rendered for another reason."""


@given(KEY)
def test_a_key_is_masked_in_every_form(key: str) -> None:
    masker = Masker(Integration(id="x", name="custom-x", api_key=Secret(key)))
    forms = [key, quote(key, safe=""), quote_plus(key), json.dumps(key)[1:-1], b64encode(key.encode()).decode()]
    assert [masker.text(f"a {form} b") for form in forms] == [f"a {MASK} b"] * len(forms)


@given(KEY, st.sampled_from(["slack", "shuffle", "pagerduty", "virustotal", "maltiverse", "custom-x"]))
def test_nothing_that_is_rendered_holds_a_secret(key: str, name: str) -> None:
    """Even an alert that quotes every secret shows none of them."""
    url, option = f"https://hooks.example/services/{quote(key, safe='')}", f"opt-{key}"
    block = Integration(
        id="x",
        name=name,
        api_key=Secret(key if key.isascii() else "k3yk3yk3y"),
        hook_url=Secret(url),
        options=Secret(json.dumps({"pretext": "Wazuh says", "api_token": option, "routing_key": key})),
        alert_format="json",
    )
    settings = load_settings(file=None, environment={}, cwd=_nowhere())
    rendered = Renderer(block, settings.policy(block), settings.worker).render(Alert(_quoting(key, url, option), "id"))
    assert rendered.outcome == "send", rendered
    shown = repr(rendered)
    secrets = {key, url, option, block.api_key.reveal() if block.api_key else key, quote(key, safe="")}
    assert not any(secret in shown or json.dumps(secret)[1:-1] in shown for secret in secrets)
    assert MASK in shown


def _nowhere() -> Path:
    from pathlib import Path  # noqa: PLC0415 — beside its one use

    return Path("/nonexistent")


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


SHOWN = {"pretext": "Wazuh says", "channel": "#soc", "username": "wazuh", "icon_url": "https://x.example/a.png", "n": 3}


@given(
    name=st.sampled_from(
        ["token", "API_KEY", "webhook_url", "password", "clientSecret", "Authorization", "routing_key"]
    ),
    value=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8).map("{}7~".format),
    nested=st.booleans(),
)
def test_of_options_only_credentials_are_masked(name: str, value: str, *, nested: bool) -> None:
    options = SHOWN | ({"jira": {name: value}} if nested else {name: value})
    block = Integration(id="x", name="custom-x", options=Secret(json.dumps(options)))
    shown = json.loads(Masker(block).options(json.dumps(options).encode()))
    assert (shown["jira"] if nested else shown)[name] == MASK
    quoted = {key for key, text in SHOWN.items() if value in str(text)}
    assert {key: shown[key] for key in SHOWN.keys() - quoted} == {key: SHOWN[key] for key in SHOWN.keys() - quoted}


def test_what_looks_like_a_credential_is_masked_whatever_its_name() -> None:
    for value in ("https://user:pw@x.example/", "https://x.example/hook/T0AB12CD34", "xoxb-1234567890-abcdefghij"):
        options = json.dumps(SHOWN | {"target": value, "list": [value]})
        masker = Masker(Integration(id="x", name="custom-x", options=Secret(options)))
        assert json.loads(masker.options(options.encode())) == SHOWN | {"target": MASK, "list": [MASK]}
        assert masker.text(f"a {value} b") == f"a {MASK} b"


def test_options_that_are_no_json_are_masked_whole() -> None:
    masker = Masker(Integration(id="x", name="custom-x", options=Secret("token=abc")))
    assert masker.options(b"token=abc") == MASK
