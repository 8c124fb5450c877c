"""The options of jira, thehive and iris in courier.toml: what is wrong names file, line and key."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from common.services.iris import IrisOptions
from common.services.jira import JiraOptions, Repeat
from common.services.sections import options_of
from common.services.thehive import TheHiveOptions
from common.templates.source import TemplateSource
from tests.producer.test_configuration import by_id, errors, read
from tests.producer.test_sections import published

if TYPE_CHECKING:
    from pathlib import Path

TABLE = '[integrations.x]\nservice = "{0}"\nhook_url = "https://x.example"\napi_key = "k"\n[integrations.x.{0}]\n'


def test_options_reach_workers_whole(tmp_path: Path) -> None:
    jira = 'project = "SOC"\ngroup = "{{ rule.id }}"\nrepeat = "update"\nfields = { a = \'"{{ id }}"\' }\n'
    toml = TABLE.format("jira") + jira
    found = published(by_id(read(tmp_path, toml))["x"])
    assert options_of(found, JiraOptions) == JiraOptions(
        project="SOC",
        group=TemplateSource("{{ rule.id }}"),
        repeat=Repeat.UPDATE,
        fields={"a": TemplateSource('"{{ id }}"')},
    )
    toml = TABLE.format("iris") + 'severity_ids = { high = 9 }\ntags = ["a b"]\niocs = false\n'
    found = published(by_id(read(tmp_path, toml))["x"])
    assert options_of(found, IrisOptions) == IrisOptions(severity_ids={"high": 9}, tags=("a b",), iocs=False)
    toml = TABLE.format("thehive") + 'organisation = "soc"\ntlp = 4\ntags = []\n'
    found = published(by_id(read(tmp_path, toml))["x"])
    assert options_of(found, TheHiveOptions) == TheHiveOptions(organisation="soc", tlp=4, tags=())


@pytest.mark.parametrize(
    ("service", "line", "problem"),
    [
        ("jira", 'project = "S OC"', 'project: "S OC" is not allowed; write the key of a project, such as SOC'),
        ("jira", 'project = "SOC"\nlabels = ["a b"]', 'labels: "a b" contains a blank, which a label cannot'),
        ("jira", 'project = "SOC"\nfields = { summary = "1" }', "fields: summary is not one of them"),
        (
            "jira",
            'project = "SOC"\nfields = { a = "{{ rul }}" }',
            "fields: a: line 1 of the template: there is no variabl",
        ),
        ("jira", 'project = "SOC"\ngroup = "{{ x( }}"', "group: line 1 of the template: "),
        ("jira", 'repeat = "close"', 'repeat: "close" is not one of the allowed words; write "comment" or "update"'),
        ("thehive", "tlp = 5", "tlp: 5 is more than 4"),
        ("thehive", 'tags = ["' + "x" * 129 + '"]', "has more than 128 characters"),
        ("thehive", 'type = "' + "x" * 33 + '"', "type: "),
        ("iris", "customer_id = 0", "customer_id: 0 is "),
        (
            "iris",
            "severity_ids = { hgh = 1 }",
            'severity_ids: there is no "hgh"; write a table of whole numbers for info',
        ),
        ("iris", 'ioc_type_ids = { url = "x" }', 'ioc_type_ids: "x" is not a whole number'),
        ("iris", 'tags = ["a,b"]', 'tags: "a,b" has more than 100 characters or has "," in it'),
        ("iris", "tags = [" + '"a",' * 51 + "]", "tags: there are 51 of them, and at most 50 are allowed"),
    ],
)
def test_an_invalid_option_is_refused_with_its_line(tmp_path: Path, service: str, line: str, problem: str) -> None:
    found = read(tmp_path, TABLE.format(service) + line)
    error = errors(found)[0]
    assert f"courier.toml:{6 + line.count(chr(10))}: " in error
    assert problem in error
    assert by_id(found) == {}


def test_a_project_is_required(tmp_path: Path) -> None:
    (error,) = errors(read(tmp_path, TABLE.format("jira").rpartition("[")[0]))
    assert error.endswith(
        "integrations.x.jira.project: is missing: write the key of the project that gets the issues, such as SOC"
    )
