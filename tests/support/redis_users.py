"""The Redis users of the roles: what an attacker with one of their passwords can do."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import redis

from ops.admin.redis_roles import ROLES, digest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.standalone.embedded_redis import EmbeddedServer

PASSWORD = "a-password-of-its-own"


@contextmanager
def logged_in(server: EmbeddedServer, name: str) -> Iterator[redis.Redis]:
    """Yield a client of the server that is logged in as this user."""
    (role,) = [role for role in ROLES if role.name == name]
    _, _, *rules = role.acl_line(digest(PASSWORD)).split()
    with server.client() as administrator:
        administrator.execute_command("ACL", "SETUSER", name, *rules)
        try:
            with redis.Redis(port=server.port, username=name, password=PASSWORD) as client:
                yield client
        finally:
            administrator.execute_command("ACL", "DELUSER", name)
