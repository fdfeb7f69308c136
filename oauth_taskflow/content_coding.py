"""Decodes the content codings of HTTP responses (RFC 9110 §8.4) in pieces of bounded size.

``requests`` and ``httpx`` accept a gzip body without its end. ``httpx`` also inflates a whole piece at once: 64 KiB become
64 MiB, and with two codings 64 GiB. Here no step makes more than ``PIECE`` bytes, and an unfinished body is an error.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from importlib import import_module
from typing import Any, Protocol

PIECE = 1 << 18
# The longest chain that urllib3 accepts. Real servers send one coding, misconfigured proxies two.
_MOST_CODINGS = 5
_GZIP_MAGIC = b"\x1f\x8b"
_GZIP, _ZLIB, _RAW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS
# RFC 9659: the largest zstd window that every receiver must support, as a power of two.
_ZSTD_WINDOW = 23
_PACKAGES = {"br": "brotli 1.2 or later", "zstd": "backports.zstd"}


class BadCoding(ValueError):
    """A body does not match its ``Content-Encoding``; ``may_pass`` says that another attempt may bring it complete."""

    def __init__(self, reason: str, *, may_pass: bool = True) -> None:
        super().__init__(reason)
        self.may_pass = may_pass


class Coding(Protocol):
    """A decoder of one content coding."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The decoded form of ``data`` in pieces of at most ``PIECE`` bytes.

        Raises:
            BadCoding: ``data`` is not in this coding.
        """

    def finish(self) -> None:
        """Check that the body is complete.

        Raises:
            BadCoding: its end is missing.
        """


@lru_cache(maxsize=1)
def _fast_zlib() -> Any:
    """The module for inflating: ``isal_zlib`` where it is installed, which is about twice as fast."""
    return _first_of("isal.isal_zlib", "zlib")


@lru_cache(maxsize=1)
def gzip_library() -> Any:
    """The module whose ``GzipFile`` writes: ``isal.igzip`` where installed, which is three times as fast at level 2."""
    return _first_of("isal.igzip", "gzip")


class _Inflate:
    """Decoder of gzip with any number of members, and of deflate with or without a zlib header."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._head = b""
        self._stream: Any = None
        self._member_over = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        while True:
            if self._stream is None or self._member_over:
                self._head += data
                if len(self._head) < 2 or not self._begin(self._head):
                    return
                data, self._head = self._head, b""
            piece = self._step(data)
            if piece:
                yield piece
            self._member_over = self._stream.eof
            data = self._stream.unused_data if self._member_over else self._stream.unconsumed_tail
            if not data:
                return

    def _begin(self, head: bytes) -> bool:
        """Start the next member; False when only padding or garbage follows a complete body."""
        if self._name == "gzip":
            if self._member_over and not head.startswith(_GZIP_MAGIC):
                self._head = b"  "  # ignores the rest
                return False
            window = _GZIP
        elif self._member_over:
            self._head = b"  "
            return False
        else:
            header = int.from_bytes(head[:2], "big")
            window = _ZLIB if head[0] & 15 == 8 and header % 31 == 0 else _RAW
        self._stream, self._member_over = _fast_zlib().decompressobj(window), False
        return True

    def _step(self, data: bytes) -> bytes:
        library = _fast_zlib()
        try:
            made: bytes = self._stream.decompress(data, PIECE)
        except (zlib.error, library.error) as error:
            raise BadCoding(f"{self._name} is broken") from error
        return made

    def finish(self) -> None:
        if self._stream is None:
            if self._head:
                raise BadCoding(f"{self._name} is broken")
        elif not self._member_over:
            raise BadCoding(f"{self._name} ends too early")


class _Framed:
    """Decoder around a decompressor with ``decompress(data, max_length)``, ``needs_input`` and ``eof``."""

    def __init__(
        self,
        name: str,
        make: Callable[[], Any],
        errors: tuple[type[Exception], ...],
        *,
        magic: bytes = b"",
    ) -> None:
        self._name, self._make, self._errors = name, make, errors
        self._magic = magic  # first byte of another frame; other bytes after the end are padding
        self._stream = make()
        self._began = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        self._began = self._began or bool(data)
        piece = data
        while data or piece or not (self._stream.needs_input or self._stream.eof):
            if self._stream.eof:
                if not self._magic or data[:1] != self._magic:
                    return
                self._stream = self._make()
            try:
                piece = self._stream.decompress(data, PIECE)
            except self._errors as error:
                raise BadCoding(f"{self._name} is broken") from error
            data = self._stream.unused_data if self._stream.eof else b""
            if piece:
                yield piece

    def finish(self) -> None:
        if self._began and not self._stream.eof:
            raise BadCoding(f"{self._name} ends too early")


class _BrotliStream:
    """``brotli.Decompressor`` with the interface that ``_Framed`` expects."""

    unused_data = b""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    @property
    def needs_input(self) -> bool:
        return bool(self._stream.can_accept_more_data())

    @property
    def eof(self) -> bool:
        return bool(self._stream.is_finished())

    def decompress(self, data: bytes, most: int) -> bytes:
        made: bytes = self._stream.process(data, output_buffer_limit=most)
        return made


def _first_of(*names: str) -> Any:
    """The first of these modules that is installed, or None."""
    for name in names:
        with suppress(ImportError):
            return import_module(name)
    return None


def _brotli() -> Coding | None:
    library = _first_of("brotli", "brotlicffi")
    make = getattr(library, "Decompressor", None)
    if not hasattr(make, "can_accept_more_data"):  # older releases inflate without a bound
        return None
    return _Framed("br", lambda: _BrotliStream(library.Decompressor()), (library.error, ValueError))


def _zstd() -> Coding | None:
    library = _first_of("compression.zstd", "backports.zstd")
    if library is None:
        return None
    options = {library.DecompressionParameter.window_log_max: _ZSTD_WINDOW}
    return _Framed(
        "zstd",
        lambda: library.ZstdDecompressor(options=options),
        (library.ZstdError,),
        magic=b"(",
    )


_MAKERS: dict[str, Callable[[], Coding | None]] = {
    "gzip": lambda: _Inflate("gzip"),
    "deflate": lambda: _Inflate("deflate"),
    "br": _brotli,
    "zstd": _zstd,
}
_ALIASES = {"x-gzip": "gzip", "x-deflate": "deflate"}


@lru_cache(maxsize=1)
def accept_encoding() -> str:
    """The value of ``Accept-Encoding``: the codings that can be decoded here."""
    return ", ".join(name for name, make in _MAKERS.items() if make() is not None)


def parse_codings(header: str) -> list[str]:
    """The known codings that a ``Content-Encoding`` names, in the order in which they were applied.

    Other names are ignored: servers that write ``utf-8``, ``identity`` or ``aws-chunked`` sent the body unencoded.
    """
    names = (part.strip().lower() for part in header.split(","))
    return [name for name in (_ALIASES.get(name, name) for name in names) if name in _MAKERS]


class Decoder:
    """Decoder for all codings of one response.

    Raises:
        BadCoding: too many codings, or one whose package is not installed.
    """

    def __init__(self, header: str) -> None:
        names = parse_codings(header)
        if len(names) > _MOST_CODINGS:
            raise BadCoding(f"{len(names)} codings on top of each other", may_pass=False)
        self._codings = [_make(name) for name in reversed(names)]

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The decoded form of ``data`` in pieces of at most ``PIECE`` bytes.

        Raises:
            BadCoding: ``data`` is not in its coding.
        """
        return _feed_through(self._codings, data)

    def finish(self) -> None:
        """Check that the body is complete.

        Raises:
            BadCoding: it ends too early.
        """
        for coding in self._codings:
            coding.finish()


def _make(name: str) -> Coding:
    coding = _MAKERS[name]()
    if coding is None:
        raise BadCoding(f"{name} needs the package {_PACKAGES[name]}", may_pass=False)
    return coding


def _feed_through(codings: Sequence[Coding], data: bytes) -> Iterator[bytes]:
    if not codings:
        if data:
            yield data
        return
    for piece in codings[0].feed(data):
        yield from _feed_through(codings[1:], piece)


def decode_pieces(pieces: Iterable[bytes], header: str) -> Iterator[bytes]:
    """The decoded form of ``pieces``, from which the codings named in ``header`` are removed.

    Raises:
        BadCoding: the body is broken or unfinished.
    """
    decoder = Decoder(header)
    for piece in pieces:
        yield from decoder.feed(piece)
    decoder.finish()
