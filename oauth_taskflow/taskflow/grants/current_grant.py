"""Which stored grant a connection, as it is now, would use: an edited connection leaves its former grants behind.

No secret is kept or announced, and nothing is asked. Connections that cannot be read here are left out.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from oauth_taskflow.connections.parse import parse_connection
from oauth_taskflow.connections.settings import OAuth2Settings
from oauth_taskflow.errors import OAuthTaskflowError
from oauth_taskflow.oauth.grants import RefreshToken
from oauth_taskflow.schema.reading import read_as
from oauth_taskflow.secret_values import Hidden, SecretValue
from oauth_taskflow.taskflow.config import presets_folder
from oauth_taskflow.taskflow.token_sources import grant, token_endpoint
from oauth_taskflow.tokens.cipher import TokenCipher
from oauth_taskflow.tokens.grant_key import GrantIdentity
from oauth_taskflow.tokens.state.record import GrantRecord


class CurrentGrant(Struct, frozen=True):
    """The keys under which the grant of a connection may be stored, and the fingerprints of its refresh token, if it has one."""

    keys: frozenset[str]
    seed: tuple[str, ...] = ()

    def is_former(self, record: GrantRecord) -> bool:
        """Whether ``record`` is a grant of the connection before it was edited: the next use begins another one."""
        if record.grant_key not in self.keys:
            return True
        return bool(self.seed) and not {*record.seeds, record.lineage} & set(self.seed)


class _Fields(SecretValue, frozen=True):
    """The fields of a connection as they are stored; ``sealed`` says which of password and extra are encrypted."""

    conn_id: str
    conn_type: str | None = None
    host: str | None = None
    schema: str | None = None
    login: str | None = None
    port: int | None = None
    password: Hidden[str | None] = None
    extra: Hidden[str | None] = None
    sealed: tuple[bool, bool] = (False, False)


class CurrentGrants:
    """Reads connections once for each way they are stored; ``cipher`` is that of the token store."""

    def __init__(self, cipher: TokenCipher) -> None:
        self._cipher = cipher
        self._read = lru_cache(maxsize=4096)(self._read_one)

    def find(self, sources: Mapping[str, str], most: int) -> Mapping[str, CurrentGrant]:
        """The current grants of those connections, by their ids and sources, as far as they can be read.

        Those beyond ``most`` that were not read before are left to the next look.
        """
        folder, found = presets_folder(), {}
        first = self._read.cache_info().misses
        rows = {conn_id for conn_id, source in sources.items() if source == "database"}
        variables = {conn_id for conn_id, source in sources.items() if source == "environment"}
        stored = {**_list_stored(rows), **dict(_read_variables(variables))}
        for conn_id in sorted(stored):
            current = self._read(stored[conn_id], folder)
            if current is not None:
                found[conn_id] = current
            if self._read.cache_info().misses - first >= most:
                break
        return found

    def _read_one(self, fields: _Fields, folder: Path | None) -> CurrentGrant | None:
        try:
            settings = parse_connection(_open(fields), presets_folder=folder, announce=False)
            auth = settings.auth
            if not isinstance(auth, OAuth2Settings):
                return None
            traded = grant(auth)
            identity = GrantIdentity.for_grant(
                token_endpoint(settings, auth), traded, traded.subject_key
            )
        except (OAuthTaskflowError, ValueError):
            return None
        if not isinstance(traded, RefreshToken):
            return CurrentGrant(frozenset({identity.key}))
        seed = traded.refresh_token
        return CurrentGrant(
            frozenset(
                {identity.key, *identity.relatives}
            ),  # a changed ``dpop`` takes the grant along
            self._cipher.fingerprints(seed) if seed else (),
        )


def _open(fields: _Fields) -> _Fields:
    """``fields`` with password and extra in clear.

    Raises:
        ValueError: no Fernet key opens one.
    """
    from airflow.models.crypto import get_fernet  # noqa: PLC0415 - the ORM loads on the API server only
    from cryptography.fernet import InvalidToken  # noqa: PLC0415 - as above

    texts = (fields.password, fields.extra)
    try:
        password, extra = (
            get_fernet().decrypt(text.encode()).decode() if text and sealed else text
            for text, sealed in zip(texts, fields.sealed, strict=True)
        )
    except InvalidToken as failure:
        msg = "no key opens it"
        raise ValueError(msg) from failure
    return replace(fields, password=password, extra=extra)


def _list_stored(conn_ids: Collection[str]) -> dict[str, _Fields]:
    """The rows of the metadata database.

    Raises:
        SQLAlchemyError: it failed.
    """
    from airflow.models import Connection  # noqa: PLC0415 - the ORM loads on the API server only
    from airflow.utils.session import create_session  # noqa: PLC0415 - as above
    from sqlalchemy import select  # noqa: PLC0415 - as above

    table: Any = Connection.__table__  # noqa: AIR311 - the ORM's
    names = ("conn_id", "conn_type", "host", "schema", "login", "port", "password", "extra")
    columns = [table.c[name] for name in (*names, "is_encrypted", "is_extra_encrypted")]
    kinds = ("oauth2", "http", "https")
    with create_session() as session:
        rows: Sequence[Any] = session.execute(
            select(*columns).where(table.c.conn_type.in_(kinds))
        ).all()
    return {
        row.conn_id: _Fields(
            **{name: getattr(row, name) for name in names},
            sealed=(bool(row.is_encrypted), bool(row.is_extra_encrypted)),
        )
        for row in rows
        if row.conn_id in conn_ids
    }


def _read_variables(conn_ids: Collection[str]) -> Iterator[tuple[str, _Fields]]:
    """Connections that are written as JSON into environment variables."""
    for conn_id in conn_ids:
        text = os.environ.get(f"AIRFLOW_CONN_{conn_id.upper()}", "").strip()
        try:
            given = json.loads(text)
            extra = given.get("extra")
            text_of_extra = extra if extra is None or isinstance(extra, str) else json.dumps(extra)
            fields = {**given, "conn_id": conn_id, "extra": text_of_extra, "sealed": (False, False)}
            yield conn_id, read_as(_Fields, fields)
        except (ValueError, RecursionError, AttributeError, TypeError, msgspec.ValidationError):
            continue
