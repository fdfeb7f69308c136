"""Bounds of what the tasks of one connection may keep in the store of watermarks, and commits that arrive in pieces."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, delete, func, insert, select

from oauth_taskflow.errors import TokenStoreError
from oauth_taskflow.watermarks.partitions import EndpointId
from oauth_taskflow.watermarks.table import PIECES, WATERMARKS

if TYPE_CHECKING:
    from oauth_taskflow.watermarks.store import WatermarkStore

GRACE = 90 * 86_400.0
"""A parent that no run read for so many seconds is gone; if it comes back, it begins at the start."""
# Endpoints on one connection, and partitions of all of them together.
_MOST_SCOPES, _MOST_ROWS = 2_000, 200_000
# Characters of the commits of one endpoint that are on their way at once.
_MOST_UNDER_WAY = 64_000_000
_ON_THE_WAY = 3_600.0


class Piece(Struct, frozen=True, array_like=True):
    """Part ``number`` of ``count`` of the text of the commit with the token ``mark``."""

    mark: str
    number: int
    count: int
    text: str


def admit_endpoint(store: WatermarkStore, identity: EndpointId) -> None:
    """Checks that there is room for the watermarks of one more endpoint.

    Raises:
        TokenStoreError: there is none, and this one has none yet.
    """
    of_connection = WATERMARKS.c.conn_id == identity.conn_id
    counts = (
        select(func.count()).where(WATERMARKS.c.scope_key == identity.key),
        select(func.count()).where(of_connection, WATERMARKS.c.partition_key == ""),
        select(func.count()).where(of_connection),
    )

    def look(connection: Connection) -> list[int]:
        own = connection.execute(counts[0].limit(1)).scalar_one()
        return (
            [own] if own else [own, *(connection.execute(one).scalar_one() for one in counts[1:])]
        )

    own, *others = store.run(look, writes=False)
    if not own and (others[0] >= _MOST_SCOPES or others[1] >= _MOST_ROWS):
        raise _full_error(identity)


def keep_piece(store: WatermarkStore, identity: EndpointId, piece: Piece) -> str | None:
    """Keeps one piece of the text of a commit; returns the whole text with the last one, else None.

    None as well where the commit is known: the question was repeated on its way.

    Raises:
        TokenStoreError: pieces are missing, or too many are under way.
    """
    if piece.count == 1:
        return piece.text
    texts = store.run(
        lambda connection: _write_piece(connection, store.now(), identity, piece), writes=True
    )
    if piece.number < piece.count - 1:
        return None
    if len(texts) == piece.count:
        return "".join(texts)
    if store.find_pending(identity, piece.mark) is None:
        raise _missing_error(identity)
    drop_pieces(store, identity, piece.mark)  # the one that came again
    return None


def _write_piece(
    connection: Connection, now: ColumnElement[float], identity: EndpointId, piece: Piece
) -> list[str]:
    """Writes ``piece``; with the last one, returns the text of all that are there."""
    if piece.number == 0:
        connection.execute(delete(PIECES).where(PIECES.c.noted_at < now - _ON_THE_WAY))
    size = select(func.coalesce(func.sum(func.length(PIECES.c.text)), 0))
    size = size.where(PIECES.c.scope_key == identity.key)
    if connection.execute(size).scalar_one() + len(piece.text) > _MOST_UNDER_WAY:
        raise _full_error(identity)
    of_commit = (
        PIECES.c.token == piece.mark,
        PIECES.c.scope_key == identity.key,
        PIECES.c.pieces == piece.count,
    )
    connection.execute(delete(PIECES).where(*of_commit, PIECES.c.number == piece.number))
    row = {"pieces": piece.count, "scope_key": identity.key, "noted_at": now}
    row |= {"token": piece.mark, "number": piece.number, "text": piece.text}
    connection.execute(insert(PIECES).values(row))
    if piece.number < piece.count - 1:
        return []
    whole = select(PIECES.c.text).where(*of_commit).order_by(PIECES.c.number)
    return [one.text for one in connection.execute(whole)]


def drop_pieces(store: WatermarkStore, identity: EndpointId, token: str) -> None:
    """Forgets the pieces of a commit of ``identity`` that was noted."""
    statement = delete(PIECES).where(PIECES.c.token == token, PIECES.c.scope_key == identity.key)
    store.run(lambda connection: connection.execute(statement), writes=True)


def _full_error(identity: EndpointId) -> TokenStoreError:
    return TokenStoreError(
        "There are too many watermarks for one connection",
        where=f"for {identity}",
        hint="Drop those of endpoints that are gone: airflow oauth watermark show, and reset.",
    )


def _missing_error(identity: EndpointId) -> TokenStoreError:
    error = TokenStoreError(
        "Parts of the commit's watermarks did not arrive at the API server",
        where=f"for {identity}",
        hint="Nothing was committed; the task can be tried again.",
    )
    error.retryable = True
    return error
