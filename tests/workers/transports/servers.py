"""Small real servers for the HTTP transport: one that speaks HTTP, one that does what a test's function does."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
import threading
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


SUBJECT_HASH: Final = "3387b84d.0"
"""Of `CN = Test CA`: what `openssl x509 -subject_hash` prints."""


class Seen(NamedTuple):
    """A request as it arrived, with the port that it came from."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    port: int


class Web:
    """An HTTP/1.1 server that answers 200 `ok`, or what a test put into `status`, `headers` and `body`."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.status, self.headers, self.body = 200, {"X-Kind": "test"}, b"ok"
        self.server: ThreadingHTTPServer

    @property
    def port(self) -> int:
        return int(self.server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def web(context: ssl.SSLContext | None = None) -> Iterator[Web]:
    served = Web()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 10

        def response(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            served.seen.append(Seen(self.command, self.path, headers, body, self.client_address[1]))
            self.send_response(served.status)
            for name, value in ({"Content-Length": str(len(served.body))} | served.headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(served.body)

        do_GET = do_POST = do_PUT = response  # noqa: N815 — http.server's names

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        request_queue_size = 512

        def handle_error(self, *_: object) -> None:
            """Say nothing of clients that go."""

    served.server = Server(("127.0.0.1", 0), Handler)
    if context:
        served.server.socket = context.wrap_socket(
            served.server.socket, server_side=True, do_handshake_on_connect=False
        )
    thread = threading.Thread(target=served.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield served
    served.server.shutdown()
    served.server.server_close()


@contextmanager
def raw(behave: Callable[[socket.socket], object]) -> Iterator[str]:
    """Give the address `host:port` of a server that does `behave` with each connection and then closes it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stop = threading.Event()

        def handle(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                connection.settimeout(10)
                behave(connection)

        def accept() -> None:
            with suppress(OSError):
                while not stop.is_set():
                    threading.Thread(target=handle, args=(listener.accept()[0],), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        stop.set()
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def request_of(connection: socket.socket) -> bytes:
    """Read one request with its body."""
    received = b""
    while b"\r\n\r\n" not in received:
        chunk = connection.recv(65_536)
        if not chunk:
            raise ConnectionError("the client went away")
        received += chunk
    head, _, body = received.partition(b"\r\n\r\n")
    length = next((int(x[15:]) for x in head.lower().split(b"\r\n") if x.startswith(b"content-length:")), 0)
    while len(body) < length:
        body += connection.recv(65_536)
    return head + b"\r\n\r\n" + body


SIGNS_CERTIFICATES: Final = x509.KeyUsage(
    key_cert_sign=True,
    crl_sign=True,
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    encipher_only=False,
    decipher_only=False,
)
"""What Python 3.13 wants to see in an authority's certificate."""


class Authority:
    """A certificate authority that exists for one test run; each certificate is a PEM file with its key.

    Without `key_usage` only an OpenSSL that is not told to be strict accepts it.
    """

    def __init__(self, folder: Path, *, key_usage: bool = True) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Test CA")])
        self.file = folder / "ca.pem"
        own = self._builder(self._name, self._key.public_key()).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        if key_usage:
            own = own.add_extension(SIGNS_CERTIFICATES, critical=True)
        self.file.write_bytes(own.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def certificate(self, name: str, address: str = "127.0.0.1") -> Path:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        names = x509.SubjectAlternativeName([x509.IPAddress(ip_address(address)), x509.DNSName(name)])
        signed = self._builder(subject, key.public_key()).add_extension(names, critical=False)
        file = self._folder / f"{name}.pem"
        pem = serialization.Encoding.PEM
        file.write_bytes(
            signed.sign(self._key, hashes.SHA256()).public_bytes(pem)
            + key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )
        return file

    def folder(self, folder: Path) -> Path:
        """Make a folder as OpenSSL looks into it, with the authority's certificate under its subject's hash."""
        folder.mkdir()
        (folder / SUBJECT_HASH).write_bytes(self.file.read_bytes())
        return folder

    def context(self, certificate: Path, *, wants_client: bool = False) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        if wants_client:
            context.load_verify_locations(self.file)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        day = dt.timedelta(days=1)
        builder = x509.CertificateBuilder(self._name, subject, key, x509.random_serial_number(), now - day, now + day)
        identifier = x509.SubjectKeyIdentifier.from_public_key(key)
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return builder.add_extension(identifier, critical=False).add_extension(authority, critical=False)
