"""Looks for secrets in files, databases, processes and requests, in every form that a program gives to a text."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import sqlite3
import threading
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, quote_plus

from oauth_taskflow.testing.authorization import FORM
from oauth_taskflow.testing.request_log import LoggedRequest

if TYPE_CHECKING:
    from typing_extensions import Self  # in typing from Python 3.11 on

# A leak may be cut short; of a long secret each piece of this length gives it away.
_PIECE = 40
_SHORTEST = 8
_QUESTION = re.compile(rb"~oauth~ask\.([\w-]+)")
_SQLITE = b"SQLite format 3\x00"
# Chance hits must be out of the question: 12 characters of base64 are 72 bits.
_LEAST_ENCODED = 12


def forms(secret: str) -> set[bytes]:
    """How ``secret`` may show up: raw, as URLs, forms and JSON write it, and in base64 behind any other text."""
    quoted = {quote(secret, safe=""), quote(secret), quote_plus(secret)}
    quoted |= {re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), text) for text in quoted}
    in_json = json.dumps(secret)[1:-1]
    in_utf8 = json.dumps(secret, ensure_ascii=False)[1:-1]
    slashes = in_json.replace("/", "\\/")
    written = {in_json, in_utf8, slashes, json.dumps(in_json)[1:-1], repr(secret)[1:-1]}
    texts = {secret, *quoted, *written}
    for text in {secret, in_json, quote_plus(secret)}:
        texts.update(_encode_base64(text.encode()))
    return {text.encode() for text in texts}


def _encode_base64(raw: bytes) -> Iterator[str]:
    """The inner part of the base64 of ``raw`` at each of the three places where it may begin, in both alphabets."""
    for before in range(3):
        whole = base64.b64encode(bytes(before) + raw).decode()
        # The first group and the last character also depend on the text around.
        inner = whole[4 if before else 0 :].rstrip("=")[:-1]
        if len(inner) >= _LEAST_ENCODED:
            yield inner
            yield inner.replace("+", "-").replace("/", "_")


def pieces(secret: str) -> list[str]:
    """Returns the parts of ``secret`` to search for: all of it, or parts that would each be a leak.

    A PEM file is searched line by line, as logs show it. The secret part of a JWT is its signature.
    """
    if re.fullmatch(r"eyJ[\w-]+\.[\w-]+\.[\w-]+", secret):
        return [secret.rpartition(".")[2]]
    lines = [line for line in secret.split("\n") if not line.startswith("-----")]
    found = [line[at : at + _PIECE] for line in lines for at in range(0, len(line), _PIECE)]
    long_enough = [piece for piece in found if len(piece) >= _SHORTEST]
    assert long_enough, "a secret is too short to distinguish from other text"
    return long_enough


@dataclass(frozen=True)
class Scanner:
    """Finds the secrets that ``named`` holds, and says their names."""

    named: Mapping[str, str] = field(repr=False)

    @cached_property
    def _needles(self) -> dict[bytes, str]:
        return {
            form: name
            for name, secret in self.named.items()
            for piece in pieces(secret)
            for form in forms(piece)
        }

    def find(self, text: bytes) -> set[str]:
        """The names of the secrets in ``text``."""
        return {name for form, name in self._needles.items() if form in text}

    def find_in_file(self, path: Path) -> set[tuple[str, str]]:
        """Name and place of the secrets in a file as it is on disk, and in the cells of one that is a SQLite database."""
        raw = path.read_bytes()
        texts = {path.name: raw, f"{path.name}, questions": read_questions(raw)}
        if raw.startswith(_SQLITE):
            texts |= cells(path)
        return {(name, place) for place, text in texts.items() for name in self.find(text)}

    def find_in_request(self, request: LoggedRequest) -> set[tuple[str, str]]:
        """Name and place of the secrets in a request; a place is the path and what of the request, as in
        ``/oauth/token body code``.
        """
        return {
            (name, f"{request.path} {place}")
            for place, text in _places(request)
            for name in self.find(text.encode())
        }


def read_questions(text: bytes) -> bytes:
    """The questions to the broker in ``text``, such as the log of an API server, unpacked; one a line."""
    found: list[bytes] = []
    for packed in set(_QUESTION.findall(text)):
        padded = packed + b"=" * (-len(packed) % 4)
        with contextlib.suppress(ValueError):  # cut short by a log
            found.append(_unpack(base64.urlsafe_b64decode(padded)))
    return b"\n".join(found)


def cells(database: Path) -> dict[str, bytes]:
    """Everything that a SQLite database says, by table and column: one value is not whole on disk if it is long.

    Compressed values are unpacked.
    """
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        connection.text_factory = bytes
        master = "SELECT name FROM sqlite_master WHERE type = 'table'"
        tables = [name.decode() for (name,) in connection.execute(master)]
        return {
            f"{table}.{column}": b"\n".join(values)
            for table in tables
            for column, values in _columns(connection, table)
        }


def _columns(connection: sqlite3.Connection, table: str) -> Iterator[tuple[str, list[bytes]]]:
    rows = connection.execute(f'SELECT * FROM "{table}"')
    names = [column[0] for column in rows.description]
    values = rows.fetchall()
    for number, name in enumerate(names):
        texts = [row[number] for row in values if isinstance(row[number], bytes)]
        yield name, [part for text in texts for part in (text, _unpack(text))]


def _unpack(value: bytes) -> bytes:
    try:
        return zlib.decompress(value)
    except zlib.error:
        return b""


def _places(request: LoggedRequest) -> Iterator[tuple[str, str]]:
    yield "path", request.path
    for name, value in request.query:
        yield f"query {name}", value
    for name, value in request.headers.items():
        yield f"header {name}", value
    for name, value in _fields(request):
        yield f"body {name}".rstrip(), value


def _fields(request: LoggedRequest) -> list[tuple[str, str]]:
    """The fields of the body; one without a name, where it is neither a form nor a JSON object."""
    if request.headers.get("Content-Type") == FORM:
        return parse_qsl(request.body, keep_blank_values=True)
    with contextlib.suppress(ValueError):
        if isinstance(whole := json.loads(request.body), dict):
            return [(name, json.dumps(value)) for name, value in whole.items()]
    return [("", request.body)]


@dataclass
class ProcessWatch:
    """Arguments of all processes of this machine, and the environment of those that know ``mark``; looked at again and again."""

    mark: str
    arguments: set[bytes] = field(default_factory=set)
    environments: dict[tuple[str, bytes], bytes] = field(default_factory=dict, repr=False)
    _looks: Counter[str] = field(default_factory=Counter)
    _over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        assert self._thread is not None
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.05):
            for folder in filter(self._is_due, Path("/proc").iterdir()):
                # The process ended meanwhile, or belongs to another user.
                with contextlib.suppress(OSError):
                    self._look_at(folder)

    def _is_due(self, folder: Path) -> bool:
        """A new process may become another program at once; later a look now and then will do."""
        looks = self._looks[folder.name] = self._looks[folder.name] + 1
        return folder.name.isdecimal() and (looks < 8 or looks % 20 == 0)

    def _look_at(self, folder: Path) -> None:
        arguments = (folder / "cmdline").read_bytes()
        key = folder.name, arguments
        if not arguments or key in self.environments:
            return
        self.arguments.add(arguments)
        environment = (folder / "environ").read_bytes()
        self.environments[key] = environment if self.mark.encode() in environment else b""
