"""The Redis roles: one table with the permissions of each process, from which all Redis users are built.

`courier init` writes redis.acl and the secret files of each role (`ops.admin.init_secrets`), the page on remote workers
shows the ACL lines (`ops.docs.render.roles`), and `tests/security/test_roles.py` tests what each role can and cannot
do.

A role has the commands that it runs itself and the commands of its scripts, because Redis checks both. EVALSHA needs
read and write permission for each of its KEYS, so a role that runs a script has both for all keys of the ledger.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import TYPE_CHECKING, Final, NamedTuple

from common.ledger import scripts
from common.ledger.keys import KEY_NAMES, digest_key, groups_key, history_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ADMINISTRATOR: Final = "default"
"""The user with all permissions, for the administrator of Redis. No process of Courier uses it."""

SECRET_KEY: Final = "secret.key"  # noqa: S105 — the name of a file
FLOWER_LOGIN: Final = "flower.login"


class Role(NamedTuple):
    """The Redis permissions of one kind of process, and the secrets that it needs besides its own password.

    `keys` and `channels` are patterns of a Redis ACL: `~` to read and write, `%R~` to read, `%W~` to write. `commands`
    are the commands that the process sends, `scripts` the scripts of the ledger that it runs.
    """

    name: str
    purpose: str
    keys: tuple[str, ...]
    commands: frozenset[str]
    scripts: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()

    @property
    def allowed(self) -> frozenset[str]:
        """The commands of the role and of its scripts; Redis checks both."""
        called = {
            command.lower()
            for name in self.scripts
            for command in re.findall(r"redis\.p?call\(['\"](\w+)", scripts.source_of(name))
        }
        return self.commands | called | (_RUN if self.scripts else set())

    def acl_line(self, digest: str) -> str:
        """Return the line of an ACL file; `digest` is the SHA-256 of the password in hexadecimal digits."""
        channels = [f"&{channel}" for channel in self.channels]
        commands = [f"+{command}" for command in sorted(self.allowed)]
        rules = ["resetkeys", *self.keys, "resetchannels", *channels, "-@all", *commands]
        return f"user {self.name} on #{digest} {' '.join(rules)}"


def acl_lines(passwords: Mapping[str, str], administrator: str) -> Iterator[str]:
    """Yield the lines of an ACL file for `passwords` by role and the `administrator` password, all of them hashed.

    The user `health` has no password and can only send PING, for health checks of the server.
    """
    yield f"user {ADMINISTRATOR} on #{digest(administrator)} ~* &* +@all"
    yield "user health on nopass resetkeys resetchannels -@all +ping"
    for role in ROLES:
        yield role.acl_line(digest(passwords[role.name]))


def digest(password: str) -> str:
    """Return the SHA-256 of a password in hexadecimal, the form of an ACL file."""
    return sha256(password.encode()).hexdigest()


def _commands(*words: str) -> frozenset[str]:
    """Return the commands in `words`; each word is a list separated by spaces."""
    return frozenset(" ".join(words).split())


_RUN: Final = frozenset({"evalsha", "script|exists", "script|load"})
_CONNECT: Final = "client|setinfo client|setname hello info ping select time"
_TRANSACTION: Final = "discard exec multi unwatch watch"
_READ_STATUS: Final = "exec hget hgetall hkeys hmget lrange multi scan xrevrange zcard zcount zrange zrank"
_CONSUME: Final = (
    "brpop del evalsha exists llen lpush pexpire psubscribe publish punsubscribe sadd script|exists script|load "
    "smembers srem zadd zrangebyscore zrem"
)
"""The commands with which kombu declares and consumes queues, answers remote control and expires its messages."""

_LEDGER: Final = (
    *(f"~courier:{{*}}:{part}" for part in KEY_NAMES),
    f"~{groups_key('*')}",
    f"~{digest_key('*')}",
)
_HISTORY: Final = f"~{history_key('*')}"
_CURSORS: Final = "~courier:{*}:cursor"
_SILENCED: Final = "~courier:{*}:silenced:*"
_SILENCES: Final = "~courier:silences"
_LIMITS: Final = "~courier:limits:*"
_READ_REPORTS: Final = (
    "%R~courier:integrations",
    "%R~courier:catalogue",
    "%R~courier:node:*",
    "%R~courier:worker:*",
)
_OPERATE: Final = (
    *_LEDGER,
    _HISTORY,
    _CURSORS,
    _SILENCED.replace("~", "%R~"),
    _SILENCES,
    _LIMITS.replace("~", "%R~"),
    *_READ_REPORTS,
    "%R~courier:test:*",
)
"""To read everything, and to change deliveries, silences and pauses."""
_QUEUE_BINDINGS: Final = ("~_kombu.binding.courier", "~_kombu.binding_permanent.courier")
_CONTROL: Final = ("~*.celery.pidbox", "~_kombu.binding*.celeryev", "~_kombu.binding_deadlines")
_CHANNELS: Final = ("/0.celeryev/*", "/0.celery.pidbox")
"""Worker events and remote control; 0 is the database number in the URL."""

ROLES: Final = (
    Role(
        name="producer",
        purpose="commits alerts with its cursors, publishes integrations and tasks",
        keys=(
            *_LEDGER,
            _HISTORY.replace("~", "%W~"),
            _CURSORS,
            _SILENCED,
            _SILENCES,
            _LIMITS,
            "~courier:integrations",
            "~courier:catalogue",
            "~courier:node:*",
            "%W~courier.*",
        ),
        commands=_commands(
            _CONNECT,
            _TRANSACTION,
            "lpush",
            "exists hdel hget hgetall hincrby hkeys hmget hset hsetnx lrange zcard zcount zrange",
        ),
        scripts=("commit", "close", "bury_unreadable", "release", "end_groups"),
        secrets=(SECRET_KEY,),
    ),
    Role(
        name="worker",
        purpose="delivers what is released, and settles it",
        keys=(
            *_LEDGER,
            _HISTORY,
            _LIMITS,
            "~courier:lookups:*",
            "~courier:asking:*",
            "%W~courier:test:*",
            "%R~courier:integrations",
            "~courier:worker:*",
            "~courier",
            "~courier.*",
            *_QUEUE_BINDINGS,
            *_CONTROL,
        ),
        commands=_commands(
            _CONNECT,
            _TRANSACTION,
            _CONSUME,
            "expire get hdel hget hgetall hmget hset lindex lrange ltrim set zrange",
        ),
        scripts=("begin", "bury_unreadable", "renew", "settle", "reap", "release", "retain", "trim_history"),
        channels=_CHANNELS,
        secrets=(SECRET_KEY,),
    ),
    Role(
        name="flower",
        purpose="shows workers, tasks and the length of queues",
        keys=(
            "%R~courier",
            "%R~courier.*",
            *_CONTROL,
            "~celeryev.*",
        ),
        commands=_commands(_CONNECT, _TRANSACTION, _CONSUME),
        channels=_CHANNELS,
        secrets=(FLOWER_LOGIN,),
    ),
    Role(
        name="console",
        purpose="shows the state; for who has logged in: dead letters, silences, pauses, test alerts",
        keys=_OPERATE,
        commands=_commands(_CONNECT, _READ_STATUS, "getrange hdel hscan hset hsetnx xrange zscore"),
        scripts=("replay", "discard", "let_go", "commit", "withdraw"),
        secrets=(FLOWER_LOGIN,),
    ),
    Role(
        name="exporter",
        purpose="reads the state for Prometheus, and for `courier status`",
        keys=(
            *(key.replace("~", "%R~") for key in (*_LEDGER, _HISTORY, _CURSORS, _SILENCED, _SILENCES, _LIMITS)),
            *_READ_REPORTS,
        ),
        commands=_commands(_CONNECT, _READ_STATUS),
    ),
    Role(
        name="operator",
        purpose="the commands: `courier status`, `pause`, `silence`, `dead`, `replay-log` and so on",
        keys=_OPERATE,
        commands=_commands(
            _CONNECT,
            _READ_STATUS,
            "getrange hdel hscan hset hsetnx xrange xread zscore",
        ),
        scripts=("replay", "discard", "move", "bury", "import", "commit", "let_go", "withdraw"),
    ),
)
