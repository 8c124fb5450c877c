from __future__ import annotations

from ops.docs.render_roles import PAGE, render
from ops.roles import ROLES


def test_the_page_is_what_the_script_writes() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == render(page), "run: python -m ops.docs.render_roles"
    assert all(f"\nuser {role.name} on #PASSWORD " in page for role in ROLES)
