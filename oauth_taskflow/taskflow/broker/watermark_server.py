"""The API server's answers to questions about stored watermarks, of tasks on one connection."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from oauth_taskflow.taskflow.broker import watermark_wire as wire
from oauth_taskflow.taskflow.broker.questions import read_value, unreadable_question
from oauth_taskflow.taskflow.broker.watermark_wire import WatermarkQuestion
from oauth_taskflow.taskflow.config import store_url, watermark_store_url
from oauth_taskflow.watermarks.bounds import GRACE, admit_endpoint, drop_pieces, keep_piece
from oauth_taskflow.watermarks.partitions import EndpointId
from oauth_taskflow.watermarks.store import PendingCommit, WatermarkStore

if TYPE_CHECKING:
    from oauth_taskflow.connections.settings import ConnectionSettings


def answer_watermark(body: Any, settings: ConnectionSettings, team: str) -> Any:
    """Returns the answer to a question about the watermarks of an endpoint on the connection of ``settings``.

    Raises:
        ConnectionConfigError: the question makes no sense.
        TokenStoreError: the store failed, or has no room for more of this connection.
        InvalidRecord: a stored value and a new one cannot be compared.
    """
    asked = read_value(WatermarkQuestion, body)
    place = f"{team}/{settings.conn_id}" if team else settings.conn_id
    identity = EndpointId(asked.dag_id, asked.endpoint, place)
    return _ANSWERS[asked.operation](_open(watermark_store_url() or store_url()), identity, asked)


@lru_cache(maxsize=4)
def _open(url: str) -> WatermarkStore:
    return WatermarkStore(url)


def _begin(store: WatermarkStore, identity: EndpointId, asked: WatermarkQuestion) -> Any:
    admit_endpoint(store, identity)
    head = store.begin(identity, asked.run_id)
    shared = None if head.shared is None else head.shared.to_text()
    answer = (head.generation, shared, head.knows_run)
    # Workers of an earlier release take three values and no more.
    return (*answer, head.forgot_run) if asked.arguments == wire.WITH_FORGOTTEN else answer


def _read(store: WatermarkStore, identity: EndpointId, asked: WatermarkQuestion) -> Any:
    keys = read_value(list[wire.Key], asked.arguments)
    if len(keys) > 4 * wire.KEYS_TOGETHER:
        raise unreadable_question()
    found = store.read_keys(identity, asked.run_id, keys)
    return {key: state.to_text() for key, state in found.items()}


def _prepare(store: WatermarkStore, identity: EndpointId, asked: WatermarkQuestion) -> None:
    piece = wire.read_piece(asked.arguments)
    text = keep_piece(store, identity, piece)
    if text is not None:
        known = store.find_pending(identity, piece.mark)
        if known is None:
            admit_endpoint(store, identity)
            store.prepare(wire.read_commit(text, piece.mark, identity, asked.run_id))
        if piece.count > 1:
            drop_pieces(store, identity, piece.mark)


def _list(store: WatermarkStore, identity: EndpointId, _: WatermarkQuestion) -> Any:
    return [
        (one.token, one.run_id, one.generation, json.dumps(one.place), age)
        for one, age in store.list_pending(identity)
    ]


def _drop(store: WatermarkStore, identity: EndpointId, asked: WatermarkQuestion) -> None:
    token = read_value(wire.Mark, asked.arguments)
    found = store.find_pending(identity, token)
    if found is not None:
        store.drop_pending(found)


def _settle(store: WatermarkStore, identity: EndpointId, asked: WatermarkQuestion) -> Any:
    token = read_value(wire.Mark, asked.arguments)
    commit = store.find_pending(identity, token)
    if commit is None:
        if asked.generation is None:
            return "done"
        commit = PendingCommit(token, identity, asked.run_id, asked.generation, {}, ())
    return store.settle(commit)


def _roll_up(store: WatermarkStore, identity: EndpointId, asked: WatermarkQuestion) -> Any:
    return store.roll_up(identity, asked.run_id, wire.read_state(asked.arguments))


def _sweep(store: WatermarkStore, identity: EndpointId, asked: WatermarkQuestion) -> Any:
    count = asked.arguments
    instances = None if count is None else read_value(wire.Instances, count)
    return store.sweep(identity, GRACE, asked.run_id, instances)


def _sum_up(store: WatermarkStore, identity: EndpointId, _: WatermarkQuestion) -> Any:
    state, partitions = store.sum_up(identity)
    return state.to_text(), partitions


_ANSWERS: dict[str, Callable[[WatermarkStore, EndpointId, WatermarkQuestion], Any]] = {
    "begin": _begin,
    "read": _read,
    "prepare": _prepare,
    "list": _list,
    "drop": _drop,
    "settle": _settle,
    "roll_up": _roll_up,
    "sweep": _sweep,
    "sum_up": _sum_up,
}
