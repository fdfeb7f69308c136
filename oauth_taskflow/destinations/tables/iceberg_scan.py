"""PyIceberg's scan of data files, with one mistake of its projection mended.

It makes an empty list of a missing list of objects, and an empty map of a missing map to objects
(https://github.com/apache/iceberg-python/issues/3833). A merge, which writes the other rows of a file again, would keep that.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.io import pyarrow as library
from pyiceberg.io.pyarrow import ArrowProjectionVisitor, ArrowScan

__all__ = ["ArrowScan"]


class _ExactProjection(ArrowProjectionVisitor):  # type: ignore[misc]  # of a library without types here
    def list(self, kind: Any, given: pa.Array | None, items: pa.Array | None) -> pa.Array | None:
        return _restore_nulls(given, super().list(kind, given, items))

    def map(
        self, kind: Any, given: pa.Array | None, keys: pa.Array | None, values: pa.Array | None
    ) -> pa.Array | None:
        return _restore_nulls(given, super().map(kind, given, keys, values))


def _restore_nulls(given: pa.Array | None, projected: pa.Array | None) -> pa.Array | None:
    if given is None or projected is None or not given.null_count:
        return projected
    return pc.if_else(pc.is_valid(given), projected, pa.scalar(None, projected.type))


# A scan finds its projection by this name, and takes no other.
library.ArrowProjectionVisitor = _ExactProjection
