"""An SMTP server on a free port of 127.0.0.1, which keeps what it receives (RFC 5321, as far as ``smtplib`` asks)."""

from __future__ import annotations

import email
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message


class _Session(socketserver.StreamRequestHandler):
    """One client; speaks EHLO, MAIL, RCPT, DATA, RSET, NOOP and QUIT."""

    server: MailServer

    def handle(self) -> None:
        self._say("220 test")
        while line := self.rfile.readline():
            verb = line[:4].upper().decode("ascii", "replace")
            if verb == "QUIT":
                self._say("221 bye")
                return
            if verb == "DATA":
                self._receive()
            else:
                refused = verb == "RCPT" and self.server.refuses
                self._say("451 try again later" if refused else "250 ok")

    def _receive(self) -> None:
        self._say("354 go on")
        lines = []
        while (line := self.rfile.readline()) not in {b".\r\n", b""}:
            lines.append(line.removeprefix(b"."))
        self.server.mails.append(email.message_from_bytes(b"".join(lines)))
        self._say("250 kept")

    def _say(self, text: str) -> None:
        self.wfile.write(text.encode() + b"\r\n")


class MailServer(socketserver.ThreadingTCPServer):
    """``mails`` are the messages in order of arrival; while ``refuses`` is set, no recipient is accepted."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Session)
        self.mails: list[Message] = []
        self.refuses = False

    @property
    def port(self) -> int:
        """The port of 127.0.0.1."""
        return int(self.server_address[1])

    def connection(self) -> dict[str, object]:
        """An Airflow connection of type ``smtp`` to this server."""
        extra = {"disable_ssl": True, "disable_tls": True, "retry_limit": 1, "timeout": 10}
        return {"conn_type": "smtp", "host": "127.0.0.1", "port": self.port, "extra": extra}


@contextmanager
def mail_server() -> Iterator[MailServer]:
    """A running server."""
    with MailServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def body_of(mail: Message) -> str:
    """The text of the first part of ``mail``."""
    part = mail.get_payload(0) if mail.is_multipart() else mail
    assert isinstance(part, Message)
    content = part.get_payload(decode=True)
    assert isinstance(content, bytes)
    return content.decode()
