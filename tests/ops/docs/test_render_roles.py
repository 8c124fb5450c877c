from __future__ import annotations

from ops.admin.redis_roles import ROLES
from ops.docs.render_roles import PAGE, render


def test_the_page_is_what_the_script_writes() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == render(page), "run: python -m ops.docs.render_roles"
    assert all(f"\nuser {role.name} on #PASSWORD " in page for role in ROLES)


def test_no_line_says_a_thing_twice() -> None:
    for role in ROLES:
        assert len(set(role.keys)) == len(role.keys), role.name
