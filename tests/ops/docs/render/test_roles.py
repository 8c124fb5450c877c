from __future__ import annotations

from ops.admin.redis_roles import ROLES
from ops.docs.render.roles import PAGE, render


def test_page_is_current() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == render(page), "run: python -m ops.docs.render.roles"
    assert all(f"\nuser {role.name} on #PASSWORD " in page for role in ROLES)


def test_no_role_line_repeats_a_rule() -> None:
    for role in ROLES:
        assert len(set(role.keys)) == len(role.keys), role.name
