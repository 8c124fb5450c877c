"""The sections of a table: what is wrong names file, line and key; what is right reaches workers whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from common.errors import SettingsError
from common.registry.entries import Entry, decode_entry, encode_entry
from common.secret import Secret
from common.services.sections import options_of, secrets_in
from common.services.webhook import Format, WebhookOptions
from common.settings.message import MessageTemplates
from common.templates.source import TemplateSource
from producer.secret_references import SecretReferences
from tests.producer.test_configuration import BLOCK, HOOK, by_id, errors, read

if TYPE_CHECKING:
    from pathlib import Path

    from common.integration import Integration

SIGNING = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLsZi"
HOOKED = f'[integrations.hook]\nservice = "webhook"\nhook_url = "{HOOK}"\n[integrations.hook.webhook]\n'


def published(one: Integration) -> Integration:
    """Return an integration as a worker reads it."""
    return decode_entry(encode_entry(Entry(one))).integration


def test_options_and_message_are_published_whole(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("Bearer s3cr3t\n")
    (tmp_path / "body.j2").write_text('{"id": "{{ rule.id }}"}\n')
    toml = f"""{HOOKED}
method = "PUT"
template = "{tmp_path}/body.j2"
headers = {{ Authorization = "file:{tmp_path}/token", X-Source = "wazuh" }}
signing_secret = ["env:SIGN", "{SIGNING}"]
success = [200, "3xx"]
success_if = "ok = true"
"""
    found = read(tmp_path, toml, SIGN=SIGNING)
    assert errors(found) == []
    one = published(by_id(found)["hook"])
    assert options_of(one, WebhookOptions) == WebhookOptions(
        method=options_of(one, WebhookOptions).method.PUT,
        template=TemplateSource('{"id": "{{ rule.id }}"}\n', f"{tmp_path}/body.j2"),
        headers={"Authorization": Secret("Bearer s3cr3t"), "X-Source": Secret("wazuh")},
        signing_secret=(Secret(SIGNING), Secret(SIGNING)),
        success=("200", "3xx"),
        success_if="ok = true",
    )
    assert [name for name, _ in secrets_in(one)] == ["Authorization", "X-Source", "signing_secret", "signing_secret"]
    assert "s3cr3t" not in repr(one)
    assert SIGNING not in repr(by_id(found))


def test_an_empty_table_of_options_is_none(tmp_path: Path) -> None:
    found = read(tmp_path, f"{HOOKED}[integrations.hook.message]\n")
    assert errors(found) == []
    assert options_of(by_id(found)["hook"], WebhookOptions) == WebhookOptions()


def test_a_block_of_ossec_conf_has_native_code_and_a_message(tmp_path: Path) -> None:
    toml = '[integrations.custom-x]\nservice = "webhook"\nwebhook.format = "ocsf"\n'
    toml += '[integrations.slack.message]\ntitle = "{{ rule.id }}"\nfields = { A = "{{ agent.name }}" }\n'
    found = read(tmp_path, toml, BLOCK.format("custom-x", ""), BLOCK.format("slack", ""))
    assert errors(found) == []
    integrations = {name: published(one) for name, one in by_id(found).items()}
    assert integrations["custom-x"].service == "webhook"
    assert options_of(integrations["custom-x"], WebhookOptions).format is Format.OCSF
    assert options_of(integrations["slack"], MessageTemplates) == MessageTemplates(
        title=TemplateSource("{{ rule.id }}"), fields={"A": TemplateSource("{{ agent.name }}")}
    )


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('format = "xml"', 'format: "xml" is not one of the allowed words; write "wazuh" or "cloudevents"'),
        (
            'formt = "ocsf"',
            "there is no key integrations.hook.webhook.formt; did you mean integrations.hook.webhook.format?",
        ),
        ('body = "{{ rul }}"', "body: line 1 of the template: there is no variable rul; did you mean rule?"),
        ("body = '{\"a\": {{ rule.level }}, }'", "body: line 1 of the template: it is not JSON: "),
        ('body = \'{"a": "{{ rule.id }}" "b": 1}\'', "body: line 1 of the template: it is not JSON: Expecting"),
        ('template = "body.j2"', 'template: "body.j2" is not an absolute path; write the absolute path of a file'),
        ('template = "/nowhere/b.j2"', "template: /nowhere/b.j2 cannot be read: "),
        ('format = "ocsf"\nbody = "{}"', "body: excludes format: write one of format, body and template"),
        ('headers = { A = "env:NOPE" }', "headers: the variable NOPE is not set in the environment of this process"),
        ('headers = { "a b" = "x" }', 'headers: "a b" is not a valid name of a header'),
        ('headers = { Webhook-Id = "x" }', "headers: Courier itself sets the header Webhook-Id"),
        ('headers = { A = "s3cr3t\\r\\nB: c" }', "headers: the value of A (not shown) is empty or has characters that"),
        ('signing_secret = "s3cr3t"', "signing_secret: ******** "),
        ("signing_secret = []", "signing_secret: there are 0 secrets"),
        ("success = [99]", "success: 99 is not a status of HTTP; write a list of statuses"),
        ('success_if = "ok ="', "success_if: column 4: a value is missing"),
    ],
)
def test_an_invalid_option_is_refused_with_its_line(tmp_path: Path, line: str, problem: str) -> None:
    found = read(tmp_path, HOOKED + line)
    (error,) = errors(found)
    number = 5 + line.count("\n")
    assert error.startswith((f"{tmp_path}/courier.toml:{number}: ", f"courier.toml:{number}: "))
    assert problem in error
    assert "s3cr3t" not in error
    assert by_id(found) == {}


@pytest.mark.parametrize(
    ("toml", "problem"),
    [
        (
            '[integrations.slack]\nwebhook.format = "ocsf"',
            "integrations.slack.webhook: is about the service webhook, and the service is slack: remove it",
        ),
        (
            '[integrations.slack]\nmessage = "x"',
            "integrations.slack.message is a table; write [integrations.slack.message] and its keys below",
        ),
        (
            '[integrations.slack.message]\ntext = "x"\ntemplate = "/x"',
            "integrations.slack.message.template: excludes text",
        ),
        (
            '[integrations.slack.message]\ntext = "{{ agent.nam | x }}"',
            "integrations.slack.message.text: line 1 of the template: there is no filter x",
        ),
        (
            '[integrations.slack.message]\nfields = { "a b" = "{{ x }}" }',
            "integrations.slack.message.fields: a b: line 1 of the template: there is no variable x",
        ),
        (
            '[integrations.slack.message]\nlink = "soc.example/{{ id }}"',
            'integrations.slack.message.link: "soc.example/" does not begin with https:// or http://',
        ),
        (
            '[integrations.slack.message]\nfields = { "" = "x" }',
            'integrations.slack.message.fields: the name "" is empty',
        ),
        (
            '[integrations.custom-s.message]\ntext = "x"',
            "integrations.custom-s.message: a script receives the alert itself and shows no message: remove the table",
        ),
        (
            '[integrations.maltiverse]\nmessage.text = "x"',
            "integrations.maltiverse.message: maltiverse sends the alert itself and shows no message",
        ),
        (
            '[integrations.pagerduty.message]\ntext = "x"',
            "integrations.pagerduty.message.text: pagerduty does not show it: write one of link, title",
        ),
    ],
)
def test_what_a_service_does_not_have_is_refused(tmp_path: Path, toml: str, problem: str) -> None:
    key = "<integration><name>{}</name><api_key>k</api_key><hook_url>https://h.example/x</hook_url></integration>"
    blocks = [key.format(name) for name in ("slack", "custom-s", "maltiverse", "pagerduty")]
    (error,) = errors(read(tmp_path, toml, *blocks))
    assert problem in error


@pytest.mark.parametrize("table", ["default", "custom-*"])
def test_sections_belong_to_one_integration(tmp_path: Path, table: str) -> None:
    toml = f'[integrations."{table}".message]\ntext = "x"\n'
    try:
        (error,) = errors(read(tmp_path, toml, BLOCK.format("custom-x", "")))
    except SettingsError as refused:
        error = str(refused)
    assert "message.text belongs in the table of one integration, [integrations.ID]" in error


def test_an_error_in_a_file_names_its_line_and_the_file_is_followed(tmp_path: Path) -> None:
    file = tmp_path / "m.j2"
    file.write_text("{{ rule.id }}\n\n{{ nam }}")
    toml = f'[integrations.slack.message]\ntemplate = "{file}"\n'
    (error,) = errors(read(tmp_path, toml, BLOCK.format("slack", "")))
    assert f"courier.toml:2: integrations.slack.message.template: {file}:3: there is no variable nam" in error
    file.write_bytes(b"x" * 65_537)
    (error,) = errors(read(tmp_path, toml, BLOCK.format("slack", "")))
    assert f"{file} is not a file of at most 64 KiB: name the file of the template" in error
    references = SecretReferences({})
    file.write_text("a")
    assert references.template(str(file)) == "a"
    assert not references.changed()
    file.write_text("longer")
    assert references.changed()


@pytest.mark.parametrize(
    ("service", "line", "problem"),
    [
        ("discord", 'username = ""', 'username: "" is not allowed; write a name of at most 80 characters'),
        ("discord", f'username = "{"x" * 81}"', "write a name of at most 80 characters"),
        ("discord", 'username = "My Discord bot"', "username: Discord accepts no name that contains 'discord'"),
        ("discord", 'username = "Everyone"', "username: Discord accepts no 'everyone'"),
        (
            "discord",
            "thread_id = 10987",
            "thread_id: the value (not shown) is not a text; write the digits of an id, in quotes",
        ),
        ("discord", 'avatar_url = "http://e.example/i.png"', "write a URL such as"),
        ("googlechat", 'thread = "level"', '"level" is not one of the allowed words; write "integration" or "rule"'),
        ("mattermost", 'chanel = "soc"', "did you mean integrations.chat.mattermost.channel?"),
        ("rocketchat", 'channel = "a\\nb"', "write a name of at most 100 characters"),
        ("teams", 'width = "full"', "integrations.chat.teams"),
    ],
)
def test_an_invalid_option_of_a_chat_is_refused_with_its_line(
    tmp_path: Path, service: str, line: str, problem: str
) -> None:
    toml = f'[integrations.chat]\nservice = "{service}"\nhook_url = "{HOOK}"\n[integrations.chat.{service}]\n{line}\n'
    try:
        (error,) = errors(read(tmp_path, toml))
    except SettingsError as refused:
        error = str(refused)
    assert "courier.toml:" in error
    assert problem in error


@pytest.mark.parametrize("service", ["teams", "discord", "googlechat", "mattermost", "rocketchat"])
def test_a_chat_replaces_the_script_of_a_block(tmp_path: Path, service: str) -> None:
    toml = f'[integrations.custom-{service}]\nservice = "{service}"\nmessage.title = "{{{{ rule.id }}}}"\n'
    found = read(tmp_path, toml, BLOCK.format(f"custom-{service}", ""))
    assert errors(found) == []
    assert published(by_id(found)[f"custom-{service}"]).service == service


@pytest.mark.parametrize(
    ("service", "keys", "problem"),
    [
        ("thehive", 'hook_url = "https://s3cr3t@hive.example"\napi_key = "k"', "hook_url: is not http(s)://HOST"),
        ("iris", 'hook_url = "https://iris.example?s3cr3t"\napi_key = "k"', "hook_url: is not http(s)://HOST"),
        (
            "jira",
            'hook_url = "https://jira.example"\napi_key = "s3cr3t\\u20ac"\njira.project = "S"',
            "api_key: has char",
        ),
        ("ntfy", 'hook_url = "https://s3cr3t.example/"', "hook_url: has no topic"),
        ("ntfy", 'hook_url = "https://s3cr3t.example/a%20b"', "hook_url: has a topic that ntfy does not accept"),
    ],
)
def test_an_address_or_key_that_the_service_module_cannot_use_is_refused(
    tmp_path: Path, service: str, keys: str, problem: str
) -> None:
    (error,) = errors(read(tmp_path, f'[integrations.soc]\nservice = "{service}"\n{keys}\n', ""))
    assert f"integrations.soc.{problem}" in str(error)
    assert "s3cr3t" not in str(error)
