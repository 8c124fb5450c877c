from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from common.integration import Integration
from common.registry.description import Description, Shared
from common.registry.entries import Entry, Registry

NODES = st.sampled_from(["a", "b", "c"])


def slack(level: int, lease: str = "60s") -> Description:
    return Description(Integration(id="slack", name="slack", level=level, line=level), {"lease": lease})


@given(st.lists(st.tuples(NODES, st.none() | st.integers(0, 3)), max_size=12))
def test_each_node_keeps_its_own_description_and_the_last_change_is_in_force(
    steps: list[tuple[str, int | None]],
) -> None:
    shared, model = Shared(slack(9)), dict[str, int]()
    for node, level in steps:
        before = model.pop(node, None)
        if level is None:
            shared = shared.without(node)
        else:
            model[node] = level
            shared = shared.with_node(node, slack(level))
            assert level == before or shared.in_force == slack(level)
        assert {one: shared.of(one) for one in shared.nodes} == {one: slack(n) for one, n in model.items()}
        assert not model or shared.in_force in map(slack, model.values())
        assert shared.others.keys() <= set(shared.nodes)
        assert shared.in_force not in shared.others.values()


def test_differences_name_settings_and_hold_no_values() -> None:
    shared = Shared(slack(3)).with_node("a", slack(3)).with_node("b", slack(7, lease="5s"))
    assert shared.in_force == slack(7, lease="5s")
    assert shared.differences() == {"a": ["lease", "level"]}


def test_lines_and_policies_of_old_versions_are_no_differences() -> None:
    old = Description(Integration(id="slack", name="slack", line=4))
    new = Description(Integration(id="slack", name="slack", line=5), {"lease": "60s"})
    assert Shared(old, ("a",)).with_node("b", new).differences() == {}


def test_repr_shows_no_published_secret() -> None:
    described = Description(Integration(id="custom-a", name="custom-a"), {"environment": {"TOKEN": "hush"}})
    shared = Shared(described, ("a", "b"), {"b": described})
    entry = Entry.of(shared, 5)
    for one in (described, shared, entry, Registry(5, {"custom-a": entry}, manager=entry)):
        assert "hush" not in repr(one)
        assert "custom-a" in repr(one)
