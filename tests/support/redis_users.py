"""The Redis users of ops/docs/remote-workers.md: what an attacker who has such a password may do."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import redis

from tests.support.guide import guide_users

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.embedded import EmbeddedServer

PASSWORD = "a-password-of-its-own"


@contextmanager
def logged_in(server: EmbeddedServer, name: str) -> Iterator[redis.Redis]:
    """Yield a client of the real server that has the rights of this user."""
    (rules,) = [line.split()[2:] for line in guide_users(PASSWORD).splitlines() if line.split()[1] == name]
    with server.client() as administrator:
        administrator.execute_command("ACL", "SETUSER", name, *rules)  # type: ignore[no-untyped-call]  # redis-py left it untyped
        try:
            with redis.Redis(port=server.port, username=name, password=PASSWORD) as client:
                yield client
        finally:
            administrator.execute_command("ACL", "DELUSER", name)  # type: ignore[no-untyped-call]  # as above
