"""Questions to the broker that are not about tokens, and their answers: budgets and watermarks. Without Airflow and I/O.

A question is an id of a connection, ``crm~oauth~ask.<text>``; its text is compressed JSON in URL-safe base64. A broker of an
earlier release takes that for the digest of a refused token, and answers with a token. The answer is a connection too: its
JSON is in ``schema``, because Airflow's masker keeps each ``extra`` that a task receives for the rest of the task. Each
question holds a number that is used once, and its answer repeats it: no cache and no proxy can serve a former answer.
"""

from __future__ import annotations

import base64
import binascii
import secrets
import zlib
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from oauth_taskflow.errors import ConnectionConfigError
from oauth_taskflow.schema.reading import read_as

PREFIX = "ask."
# The longest id: servers and proxies take URLs of 8,000 bytes at least, and the rest of the path is short.
LONGEST_ID = 2000
# A question is a few kilobytes long, whatever a hostile task compressed into it.
_LONGEST_TEXT = 65_536
_ANSWER = "broker_answer"
_T = TypeVar("_T")


class TooLong(Exception):
    """A question does not fit into the id of a connection."""


class Asked(Struct, frozen=True, array_like=True):
    """One question: the number that is used once, what is asked, and the rest by its kind."""

    nonce: str
    kind: str
    body: Any = None


def write_question(kind: str, body: Any) -> tuple[str, str]:
    """Returns the nonce of a new question, and its text.

    Raises:
        TooLong: it is longer than an id may be.
    """
    asked = Asked(secrets.token_hex(8), kind, body)
    packed = zlib.compress(msgspec.json.encode(asked), 9)
    text = PREFIX + base64.urlsafe_b64encode(packed).rstrip(b"=").decode()
    if len(text) > LONGEST_ID - 250:  # the longest name of a connection
        raise TooLong
    return asked.nonce, text


# Made once: see ``read_as``.
_read_asked = msgspec.json.Decoder(Asked).decode


def read_question(text: str) -> Asked:
    """Returns the question in ``text``, which begins with ``PREFIX``.

    Raises:
        ConnectionConfigError: it is not a question.
    """
    try:
        packed = base64.b64decode(
            text[len(PREFIX) :] + "=" * (-(len(text) - len(PREFIX)) % 4), b"-_", validate=True
        )
        unpacking = zlib.decompressobj()
        plain = unpacking.decompress(packed, _LONGEST_TEXT)
        whole = unpacking.eof and len(text) <= LONGEST_ID
        return _read_asked(plain if whole else b"")
    except (ValueError, RecursionError, zlib.error, binascii.Error, msgspec.MsgspecError):
        raise unreadable_question() from None


def read_value(kind: type[_T], value: Any) -> _T:
    """Returns ``value`` of a question or an answer as a ``kind``, checked.

    Raises:
        ConnectionConfigError: it makes no sense.
    """
    try:
        return read_as(kind, value)
    except msgspec.ValidationError:
        raise unreadable_question() from None


def unreadable_question() -> ConnectionConfigError:
    """Returns the error for what no task of this package asks."""
    return ConnectionConfigError(
        "The API server does not understand this question of the task",
        conn_id="",
        where="to the broker",
        hint="Install the same release of oauth-taskflow on workers and API server.",
    )


def write_answer(asked: Asked, answer: Any) -> str:
    """Returns the text that answers ``asked``."""
    return msgspec.json.encode({_ANSWER: [asked.nonce, answer]}).decode()


def read_answer(text: str | None, nonce: str) -> tuple[Any] | None:
    """Returns the answer to the question with ``nonce``; None where ``text`` answers another question, or none."""
    if not text or _ANSWER not in text:
        return None
    try:
        found, answer = msgspec.json.decode(text)[_ANSWER]
    except (ValueError, TypeError, KeyError, msgspec.MsgspecError):
        return None
    return (answer,) if found == nonce else None
