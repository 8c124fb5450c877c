"""For any ossec.conf and courier.toml: what is valid is compiled as it is written, and an invalid table changes nothing
else.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from common.integration import Integration
from common.secret import Secret
from common.settings.published_policy import merge_policy, publish_policy
from producer.configuration import compile_configuration
from producer.ossec_conf import parse_ossec_conf
from producer.secret_references import SecretReferences
from tests.support.fakes import policy, settings_for

if TYPE_CHECKING:
    from pathlib import Path

    from common.settings.load import Settings
    from producer.ossec_conf import Configuration

HOOKS = st.integers(0, 3).map("https://hooks.example/{}".format)
BLOCKS = st.dictionaries(
    st.sampled_from(["custom-a", "custom-b", "slack", "shuffle"]),
    st.tuples(st.none() | st.integers(0, 16), HOOKS),
    max_size=3,
)
KEYS: dict[str, st.SearchStrategy[Any]] = {
    "level": st.integers(0, 16),
    "rule_id": st.lists(st.integers(1, 99_999), min_size=1, max_size=3),
    "group": st.lists(st.sampled_from(["sshd", "web"]), min_size=1, max_size=2),
    "only": st.lists(st.sampled_from(["rule.level > 3", "@hosts", "not agent.name = b*"]), max_size=2),
    "except": st.lists(st.sampled_from(["@hosts", "rule.id = 1, 2"]), max_size=2),
    "max_log": st.integers(165, 1024),
    "lease": st.integers(1, 900).map("{}s".format),
    "concurrency": st.integers(1, 9),
}
TABLES = st.dictionaries(
    st.sampled_from(["soc", "noc", "custom-a", "custom-b", "slack"]),
    st.fixed_dictionaries(
        {"service": st.sampled_from(["slack", "shuffle", "custom-x"]), "hook_url": HOOKS}, optional=KEYS
    ),
    max_size=4,
)
INVALID = st.sampled_from(
    [
        ("service", "slak"),
        ("level", "x"),
        ("levl", 3),
        ("lease", 5),
        ("only", ["rule.level >"]),
        ("except", ["@nobody"]),
        ("hook_url", "env:NOBODY"),
        ("hook_url", "nowhere"),
        ("group", []),
    ]
)


def compiled(folder: Path, blocks: dict[str, Any], tables: dict[str, dict[str, Any]]) -> tuple[Configuration, Settings]:
    lines = ['[conditions]\nhosts = ["agent.name = a*"]']
    for table, keys in tables.items():
        lines += [f"[integrations.{table}]", *(f"{key} = {json.dumps(value)}" for key, value in keys.items())]
    (folder / "courier.toml").write_text("\n".join(lines))
    elements = (
        f"<integration><name>{name}</name><hook_url>{hook}</hook_url><alert_format>json</alert_format>"
        f"{'' if level is None else f'<level>{level}</level>'}</integration>"
        for name, (level, hook) in blocks.items()
    )
    ours = settings_for(folder / "ossec.conf")
    found = parse_ossec_conf(f"<ossec_config>{''.join(elements)}</ossec_config>".encode(), file="ossec.conf")
    return compile_configuration(found, ours, SecretReferences({})), ours


def expected(name: str, blocks: dict[str, Any], table: dict[str, Any]) -> Integration:
    level, hook = blocks.get(name, (None, None))
    service = table.get("service", name)
    return Integration(
        id=name,
        name=name if name in blocks else service,
        service_override=service if name in blocks and service != name else "",
        hook_url=Secret(table.get("hook_url", hook)),
        level=table.get("level", level or 0),
        rule_ids=tuple(table["rule_id"]) if "rule_id" in table else None,
        group=",".join(table["group"]) if "group" in table else None,
        alert_format="json" if name in blocks else None,
        only=tuple(table.get("only", ())),
        except_=tuple(table.get("except", ())),
        max_log=table.get("max_log", 165),
    )


def placeless(found: Configuration) -> dict[str, Integration]:
    return {one.id: msgspec.structs.replace(one, file="", line=0) for one in found.integrations}


@settings(max_examples=30)
@given(blocks=BLOCKS, tables=TABLES)
def test_what_is_written_is_what_workers_get(
    tmp_path_factory: Any, blocks: dict[str, Any], tables: dict[str, dict[str, Any]]
) -> None:
    found, ours = compiled(tmp_path_factory.getbasetemp(), blocks, tables)
    assert found.refused == ()
    assert placeless(found) == {name: expected(name, blocks, tables.get(name, {})) for name in {*blocks, *tables}}
    for one in found.integrations:
        sent = json.loads(json.dumps(publish_policy(ours.policy(one))))
        merged = merge_policy(policy(concurrency=77), sent)
        table = {**tables.get(one.service, {}), **tables.get(one.id, {})}  # a table of a service is for all of it
        assert merged.lease_s == int(table.get("lease", "60s")[:-1])
        assert merged.concurrency == 77


@settings(max_examples=30)
@given(blocks=BLOCKS, tables=TABLES, bad=INVALID, data=st.data())
def test_an_invalid_table_costs_nothing_but_its_own_integration(
    tmp_path_factory: Any, blocks: dict[str, Any], tables: dict[str, Any], bad: tuple[str, Any], data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(["soc", "custom-a"]))
    service = {"service": "slack", "hook_url": "https://hooks.example/1"}
    invalid = tables | {name: service | tables.get(name, {}) | {"service": "slack"} | dict([bad])}
    folder = tmp_path_factory.getbasetemp()
    whole, _ = compiled(folder, blocks, {one: keys for one, keys in tables.items() if one != name})
    found, _ = compiled(folder, blocks, invalid)
    assert placeless(found) == {one: what for one, what in placeless(whole).items() if one != name}
    assert [str(error).startswith("courier.toml:") for error in found.refused] == [True]
    assert f"integrations.{name}.{bad[0]}" in str(found.refused[0])
