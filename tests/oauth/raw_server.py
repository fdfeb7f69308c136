"""A loopback server that does to each connection exactly what a test says, down to the byte."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Behaviour = Callable[[socket.socket], None]


@contextmanager
def raw_server(behaviour: Behaviour, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """``host:port`` of a server that runs ``behaviour`` on every connection, in a separate thread."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_accept, args=(listener, behaviour, tls), daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(20)


def _accept(listener: socket.socket, behaviour: Behaviour, tls: ssl.SSLContext | None) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        try:
            with tls.wrap_socket(connection, server_side=True) if tls else connection as ready:
                behaviour(ready)
        except OSError:
            connection.close()  # the client refused the certificate or left


def _receive(connection: socket.socket) -> bytes:
    """The received bytes; a client that left ends the connection's turn."""
    chunk = connection.recv(65536)
    if not chunk:
        raise ConnectionAbortedError
    return chunk


def read_request(connection: socket.socket) -> bytes:
    """The whole request: headers, and as much body as they announce."""
    raw = b""
    while b"\r\n\r\n" not in raw:
        raw += _receive(connection)
    head, _, body = raw.partition(b"\r\n\r\n")
    lengths = (
        int(line.split(b":")[1])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length")
    )
    length = next(lengths, 0)
    while len(body) < length:
        body += _receive(connection)
    return head + b"\r\n\r\n" + body


def answering(answer: bytes, seen: list[bytes] | None = None) -> Behaviour:
    """Read the request, send ``answer`` and close."""

    def behaviour(connection: socket.socket) -> None:
        request = read_request(connection)
        if seen is not None:
            seen.append(request)
        connection.sendall(answer)

    return behaviour


def answering_each(answers: list[bytes], seen: list[bytes] | None = None) -> Behaviour:
    """Read a request and send the next of ``answers``; the last one goes on being sent."""

    def behaviour(connection: socket.socket) -> None:
        request = read_request(connection)
        if seen is not None:
            seen.append(request)
        connection.sendall(answers.pop(0) if len(answers) > 1 else answers[0])

    return behaviour


def http_answer(status: int, body: bytes, *headers: str, kind: str = "application/json") -> bytes:
    """A whole answer that closes the connection."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Type: {kind}", *headers, "Connection: close"]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


def silent(connection: socket.socket) -> None:
    """Say nothing until the client leaves."""
    while True:
        _receive(connection)


def closing(connection: socket.socket) -> None:
    """Read the request and close."""
    read_request(connection)


def self_signed(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """A server context with a certificate for 127.0.0.1 that no CA signed, and its file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context, path
