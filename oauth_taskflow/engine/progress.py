"""The state of a run between two pages, as it is kept with its records, and the definition that it belongs to."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET, Struct
from msgspec.structs import replace

from oauth_taskflow.api.decoders.numbers import build_json_decoder, decode, encode
from oauth_taskflow.api.pull.marks import SequenceState
from oauth_taskflow.api.pull.page_warnings import PageFigures
from oauth_taskflow.destinations.transfer import Counts
from oauth_taskflow.specs.model import TaskOptions

if TYPE_CHECKING:
    from oauth_taskflow.engine.run import EndpointRun

STATE_VERSION = 5


class Seal(Struct, frozen=True):
    """Encrypts and decrypts what may hold secrets; ``open`` raises for what it did not close."""

    close: Callable[[bytes], bytes]
    open: Callable[[bytes], bytes]


class Boundary(Struct, frozen=True):
    """The figures between two pages.

    ``sequence`` counts the request sequences that have ended, ``parent`` is the number of the current parent record and
    ``parents`` the digest of all up to it, ``rejected`` counts the records in quarantine. ``parent_rows`` counts the records
    before the current parent, ``stages`` holds the state of each stage, ``warnings`` the number of warnings so far.
    """

    sequence: int = 0
    rows: int = 0
    pages: int = 0
    received_bytes: int = 0
    rejected: int = 0
    parent: int = 0
    parents: bytes = b""
    parent_rows: int = 0
    stages: list[Any] = []
    figures: PageFigures = PageFigures()
    warnings: int = 0

    def counts(self, began: float, seconds: float) -> Counts:
        """Returns the figures of the transfer up to here, which took ``seconds`` since ``began``."""
        rows, pages, received = self.rows, self.pages, self.received_bytes
        return Counts(rows, pages, received, began, seconds, self.rejected)


class RunState(Struct, frozen=True):
    """All that the next attempt must know.

    ``start`` is the boundary before the current sequence, ``now`` the last one, with ``page`` inside the sequence (None
    between two). ``idle`` counts waits in a row without a page, ``attempts`` the attempts that were cut off. ``began``
    and ``expires`` are seconds since the epoch, ``seconds`` is the time of the earlier attempts, ``waits`` what of it requests
    waited, by reason.
    """

    version: int
    definition: bytes
    start: Boundary
    now: Boundary
    page: SequenceState | None
    request: bytes
    is_sealed: bool
    warnings: list[str]
    idle: int
    attempts: int
    began: float
    seconds: float
    expires: float
    waits: dict[str, float] = {}


_decode_state = build_json_decoder(RunState).decode


def encode_state(state: RunState, seal: Seal | None) -> bytes:
    """Returns the state as bytes; the next request is in it only sealed, or as a page cursor alone."""
    # JSON, because MessagePack has no integers beyond 64 bits, such as a watermark or total may be.
    return encode(_close_request(state, seal))


def _close_request(state: RunState, seal: Seal | None) -> RunState:
    if state.page is None or state.page.request is None:
        return state
    content = encode(state.page.request)
    if seal is None:
        # A URL of the API may hold keys, and nothing here can hide it: the sequence starts over.
        if state.page.request.get("exact"):
            return replace(state, now=state.start, page=None)
        return replace(state, page=replace(state.page, request={}), request=content)
    page = replace(state.page, request={})
    return replace(state, page=page, request=seal.close(content), is_sealed=True)


def decode_state(content: bytes, definition: bytes, seal: Seal | None) -> RunState | None:
    """Returns the state in ``content``; None for that of another definition or release, or one that cannot be opened."""
    try:
        state: RunState = _decode_state(content)
        if (state.version, state.definition) != (STATE_VERSION, definition):
            return None
        if state.page is not None and state.request:
            if state.is_sealed and seal is None:
                return replace(state, now=state.start, page=None)
            opened = seal.open(state.request) if state.is_sealed and seal else state.request
            return replace(state, page=replace(state.page, request=decode(opened)))
    except Exception:  # noqa: BLE001 - whatever the file holds, starting over is right
        return None
    return state


def define(run: EndpointRun, base_url: str) -> bytes:
    """Returns a digest of everything that decides which pages a run reads and what it writes."""
    endpoint = replace(run.endpoint, task=TaskOptions(), description="")
    parts = (
        STATE_VERSION,
        _plain(endpoint),
        run.name,
        run.run_id,
        run.map_index,
        run.location,
        base_url,
        digest((run.hash_key or "").encode()).hex(),
        _plain(run.template_context),
        [run.interval.start, run.interval.end, run.interval.open_end],
        _plain(run.item),
        None if run.watermarks is None else run.watermarks.version,
    )
    return digest(msgspec.json.encode(parts, enc_hook=str, order="deterministic"))


def _plain(value: Any) -> Any:
    """Returns options with all their defaults: msgspec leaves some of them out, by identity."""
    if isinstance(value, Struct):
        fields = {name: _plain(getattr(value, name)) for name in value.__struct_fields__}
        return [type(value).__name__, fields]
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return None if value is UNSET else value


def digest(content: bytes) -> bytes:
    """Returns 16 bytes that are equal for equal contents."""
    return hashlib.blake2b(content, digest_size=16).digest()
