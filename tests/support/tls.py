"""Redis over TLS: a proxy for the embedded server, which is built without TLS, or Debian's Redis, which has it.

Sentinels need the latter: they tell clients the address at which they know a server, and speak to it themselves.
"""

from __future__ import annotations

import select
import shutil
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ops.standalone.embedded_redis import EmbeddedServer
from tests.workers.transports.servers import Authority

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator
    from pathlib import Path

REDIS_WITH_TLS: Final = "redis-check-rdb"
"""From Debian's package redis-tools: the same program as redis-server, without a service."""


class Tls(NamedTuple):
    """A server program with TLS, and certificates for it."""

    binary: Path
    certificate: Path
    ca: Path

    @classmethod
    def in_folder(cls, folder: Path) -> Tls:
        """Create certificates, and a link to the program as redis-server, because it acts by its name."""
        authority = Authority(folder)
        binary = folder / "redis-server"
        binary.symlink_to(str(shutil.which(REDIS_WITH_TLS)))
        return cls(binary, authority.certificate("redis"), authority.file)

    def listen(self, port: int) -> str:
        """Return configuration lines for TLS only, for clients, replicas and Sentinels."""
        return f"""\
port 0
tls-port {port}
tls-cert-file "{self.certificate}"
tls-key-file "{self.certificate}"
tls-ca-cert-file "{self.ca}"
tls-auth-clients no
tls-replication yes"""


class TlsServer(EmbeddedServer):
    """The embedded server, but with Debian's program and TLS."""

    def __init__(self, directory: Path, *, tls: Tls, **more: Any) -> None:
        super().__init__(directory, **more)
        self._tls = tls

    @property
    def url(self) -> str:
        """The URL with the password and the CA."""
        return f"rediss://:{self.password}@127.0.0.1:{self.port}/0?ssl_ca_certs={self._tls.ca}"

    def _binary(self) -> str:
        return str(self._tls.binary)

    def _configuration(self) -> bytes:
        return super()._configuration().replace(b"port %d\n" % self.port, self._tls.listen(self.port).encode() + b"\n")


@contextmanager
def tls_in_front_of(port: int, context: ssl.SSLContext) -> Iterator[int]:
    """Yield the port of a TLS listener that forwards to `port`."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_accept, args=(listener, port, context), daemon=True)
        thread.start()
        yield listener.getsockname()[1]


def _accept(listener: socket.socket, port: int, context: ssl.SSLContext) -> None:
    while True:
        try:
            plain, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_serve, args=(plain, port, context), daemon=True).start()


def _serve(plain: socket.socket, port: int, context: ssl.SSLContext) -> None:
    try:
        with (
            context.wrap_socket(plain, server_side=True) as client,
            socket.create_connection(("127.0.0.1", port)) as to,
        ):
            while True:
                readable = [client] if client.pending() else select.select([client, to], [], [])[0]
                for source in readable:
                    data = source.recv(65_536)
                    if not data:
                        return
                    (to if source is client else client).sendall(data)
    except OSError:
        plain.close()
