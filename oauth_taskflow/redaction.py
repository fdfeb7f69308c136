"""Takes secrets out of URLs, headers, form fields and free text before anything is shown."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, NoReturn, TypeAlias, TypeVar
from urllib.parse import parse_qsl, quote, quote_plus, urlencode, urlsplit, urlunsplit

from msgspec import Struct

from oauth_taskflow.errors import ResultRefused, printable

T = TypeVar("T")
# The type of a field of a SecretValue that its repr leaves out.
Hidden: TypeAlias = Annotated[T, "not shown"]

REDACTED = "***"

_SENSITIVE = re.compile(
    r"secret|passw|token|assertion|authorization|api[_-]?key|apikey|access[_-]?key|private[_-]?key"
    r"|credential|signature|proof|^sig$|cookie|verifier|(^|auth_)code$|^key$|^jwt$|dpop",
    re.IGNORECASE,
)
_BEARER = re.compile(r"(?i)\b(bearer|basic|dpop)\s+[A-Za-z0-9._~+/=-]{6,}")
# A JWT, signed or encrypted: its header always begins so (RFC 7515 §3.3).
_JWT = re.compile(r"\beyJ[\w-]{8,16384}\.[\w-]*(?:\.[\w-]*){1,3}")
# Begins at the telling word and looks a bounded way ahead: what servers write may be long, and costs linear time.
_ASSIGNMENT = re.compile(
    r"(?i)((?:secret|passw|token|assertion|api[_-]?key|private[_-]?key)[\w.-]{0,64}[\"']?\s*[:=]\s*[\"']?)"
    r"([^\s\"'&,;}]{3,})"
)
# What logs a key logs it line by line: base64 of any use to somebody, or most of another text's line.
_LINE = re.compile(r"^(?:[A-Za-z0-9+/]{16,}={0,2}|(?!-----)[^\r\n]{40,})(?=\r?$)", re.MULTILINE)
# Shorter ones are found in host names and paths by chance.
_SHORTEST_IN_URL = 6
# Not secrets although their names say "token": they are wanted in messages.
_HARMLESS = frozenset({"token_type", "token_url", "token_type_hint", "next_page_token_param"})


def is_sensitive_name(name: str) -> bool:
    """Whether a header, parameter or field of this name usually holds a secret."""
    return name.lower() not in _HARMLESS and _SENSITIVE.search(name) is not None


def secret_forms(secret: str) -> list[str]:
    """The secret as it may show up, longest first: raw, URL-encoded both ways, and base64 in both alphabets.

    Of several lines, such as a key's, each is a form too, but as it stands only: nobody encodes one alone.
    """
    raw = secret.encode()
    lines = _LINE.findall(secret) if "\n" in secret else []
    # Without padding a form is found in both; every one costs Airflow's masker time (log_masking.py).
    encoded = {to(raw).decode().rstrip("=") for to in (base64.b64encode, base64.urlsafe_b64encode)}
    quoted = {quote(secret, safe=""), quote_plus(secret)}
    return sorted({secret, *quoted, *encoded, *lines}, key=len)[::-1]


def without(text: str, secrets: Iterable[str]) -> str:
    """``text`` without ``secrets`` in any form; what only looks like one stays."""
    for secret in secrets:
        for form in secret_forms(secret) if secret else ():
            text = text.replace(form, REDACTED)
    return text


def redact_text(text: str, secrets: Iterable[str] = ()) -> str:
    """``text`` without the named ``secrets`` in any form, without bearer values, JWTs and ``secret=…`` assignments."""
    text = without(text, secrets)
    text = _JWT.sub(REDACTED, _BEARER.sub(rf"\1 {REDACTED}", text))
    return _ASSIGNMENT.sub(rf"\g<1>{REDACTED}", text)


def redact_url(url: str, secrets: Iterable[str] = ()) -> str:
    """``url`` without userinfo and fragment, sensitive query parameters and, wherever they stand, ``secrets``.

    Characters that a terminal obeys are left out: servers name next pages and redirects.
    """
    named = frozenset(secrets)
    try:
        parts = urlsplit(url)
        query = parse_qsl(parts.query, keep_blank_values=True)
    except ValueError:
        return "<unreadable URL>"
    host = parts.netloc.rpartition("@")[2]
    hidden = [(k, REDACTED if is_sensitive_name(k) or v in named else v) for k, v in query]
    shown = printable(urlunsplit((parts.scheme, host, parts.path, urlencode(hidden, safe="*"), "")))
    return without(shown, (secret for secret in named if len(secret) >= _SHORTEST_IN_URL))


def shown_place(url: str) -> str:
    """``url`` as ``redact_url`` shows it, without its scheme, so that Airflow leaves it readable.

    Airflow masks the value of every key of extra whose name contains "token" wherever it stands in a log, which makes
    ``***`` of a whole ``token_url`` (``airflow.sdk.execution_time.context``, by way of ``Connection.extra_dejson``).
    """
    return redact_url(url).partition("://")[2] or redact_url(url)


def redact_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """``headers`` with the values of sensitive ones replaced."""
    return {k: REDACTED if is_sensitive_name(k) else v for k, v in headers.items()}


class KeptInProcess:
    """What holds a secret: it is neither pickled nor copied, so that it reaches no XCom, queue, cache or child process."""

    __slots__ = ()

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        """Refuse, naming the class alone.

        Raises:
            ResultRefused: always.
        """
        raise ResultRefused(
            f"A {type(self).__name__} holds a secret and is not pickled",
            hint="Pass the connection's id, and build it where it is used.",
        )


class SecretValue(KeptInProcess, Struct, frozen=True):
    """A value with a secret in it. ``Hidden[…]`` as the type of a field keeps it out of every ``repr``.

    It has slots: ``vars``, debuggers and pretty printers have nothing else to show.
    """

    _hidden: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(cls) -> None:
        own = {name for name, kind in cls.__annotations__.items() if kind.startswith("Hidden[")}
        cls._hidden = cls._hidden | own

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Name and value of the fields that may be shown; ``rich`` asks for it, and ``__repr__``."""
        shown = (name for name in self.__struct_fields__ if name not in self._hidden)
        return [(name, getattr(self, name)) for name in shown]

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"{type(self).__name__}({fields})"

    def __copy__(self) -> NoReturn:
        """Refuse as pickling does; raises as ``__reduce_ex__`` does."""
        self.__reduce_ex__(2)
