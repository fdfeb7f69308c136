"""Whether a server of S3 keeps the condition that an object is new, by which one commit never replaces another.

Amazon's does since 2024. Some other servers write the object all the same, and say that all is well.
"""

from __future__ import annotations

import logging
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any

from oauth_taskflow.redaction import redact_url

_log = logging.getLogger(__name__)
_S3 = {"s3", "s3a"}
# (endpoint, bucket) -> what was found; a server does not change while a process lives.
_found: dict[tuple[str, str], bool] = {}


def ignores_conditions(path: Any) -> bool:
    """Returns whether the store of ``path`` replaces an object that must be new; asks each server and bucket once.

    ``path`` is a ``pathlib.Path``, a ``UPath`` or an ``ObjectStoragePath``. A small hidden object is written below it and removed.
    A store that cannot be asked counts as one that keeps conditions, since its own errors come at the commit.
    """
    if isinstance(path, Path):
        return False
    protocol = path.fs.protocol
    if not _S3 & ({protocol} if isinstance(protocol, str) else set(protocol)):
        return False
    endpoint = path.fs.endpoint_url or (path.fs.client_kwargs or {}).get("endpoint_url") or ""
    if not endpoint:
        return False
    place = str(path.path).strip("/")
    server = (endpoint, place.partition("/")[0])
    if server not in _found:
        _found[server] = _replaces_objects(path.fs, f"{place}/.condition-{secrets.token_hex(8)}")
        if _found[server]:
            _log.warning(
                "The server of S3 at %s ignores the condition If-None-Match: two tasks that commit to one Delta Lake table in "
                "the same moment may replace each other's rows. Let one task at a time write to a table (max_active_tis_per_dag: 1)",
                redact_url(endpoint),
            )
    return _found[server]


def _replaces_objects(fs: Any, name: str) -> bool:
    replaced = False
    # Whatever the store raises: it keeps the condition, refuses it, or cannot be asked.
    with suppress(Exception):
        fs.pipe_file(name, b"")
        fs.pipe_file(name, b"", mode="create")
        replaced = True
    with suppress(Exception):
        fs.rm_file(name)
    return replaced
