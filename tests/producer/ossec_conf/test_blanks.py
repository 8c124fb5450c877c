"""White space of any kind around hook_url and api_key is removed, with a warning (D20)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.ossec_conf import parse_ossec_conf
from producer.secret_references import SecretReferences, without_blanks

BLANKS = " \t\r\n\x85\u00a0\u2003\u2028\u202f\u3000\u200b\u2060\ufeff"
NEEDED = {
    "slack": "<alert_format>json</alert_format>",
    "custom-x": "",
    "maltiverse": "<alert_format>json</alert_format>",
}


def read(name: str, hook_url: str, api_key: str) -> tuple[str | None, str | None, list[str]]:
    block = f"<name>{name}</name><hook_url>{hook_url}</hook_url><api_key>{api_key}</api_key>{NEEDED[name]}"
    read_ = parse_ossec_conf(f"<ossec_config><integration>{block}</integration></ossec_config>".encode(), file="c")
    assert read_.refused == ()
    (integration,) = read_.integrations
    secrets = [secret.reveal() if secret else None for secret in (integration.hook_url, integration.api_key)]
    return secrets[0], secrets[1], [warning.text for warning in read_.warnings]


@pytest.mark.parametrize("name", NEEDED)
@pytest.mark.parametrize("blank", BLANKS.replace("\x85", "").replace("\r", ""))
def test_blanks_around_a_value_are_removed_with_a_warning(name: str, blank: str) -> None:
    url, key, warnings = read(name, f"{blank}https://h/x{blank * 2}", f"{blank}k{blank}")
    assert (url, key) == ("https://h/x", "k")
    assert warnings == ["has spaces or line breaks around it; Courier removes them (D20)"] * 2


def test_blanks_around_a_reference_and_its_secret_are_removed() -> None:
    assert SecretReferences({"KEY": "\ufeffsecret\u200b\n"}).resolve("\u00a0env:KEY\u2060").reveal() == "secret"


def test_blanks_inside_a_value_stay_with_a_warning() -> None:
    url, key, warnings = read("custom-x", " https://h/a b", "k l")
    assert (url, key) == ("https://h/a b", "k l")
    assert [warning.partition(";")[0] for warning in warnings] == [
        "has spaces or line breaks around it",
        "has a space or line break in it, which is sent too",
        "has a space or line break in it, which is sent too",
    ]


def test_nothing_else_is_trimmed() -> None:
    options = "<options> {} </options><group> a</group>"
    block = f"<name>custom-x</name>{options}"
    read_ = parse_ossec_conf(f"<ossec_config><integration>{block}</integration></ossec_config>".encode(), file="c")
    (integration,) = read_.integrations
    assert integration.options
    assert (integration.options.reveal(), integration.group) == (" {} ", " a")


@given(st.text(BLANKS), st.text("abc:/" + BLANKS).filter(lambda text: text == without_blanks(text)), st.text(BLANKS))
def test_value_between_the_blanks_is_unchanged(before: str, text: str, behind: str) -> None:
    assert without_blanks(before + text + behind) == text
