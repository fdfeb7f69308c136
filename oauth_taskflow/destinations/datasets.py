"""Names the real object that holds an endpoint's records, as lineage and people know it: its dataset."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from oauth_taskflow.redaction import redact_url

_PARTITION = re.compile(r"\w+(=|%3D)")


def name_dataset(folder: Any) -> str:
    """Returns the URI of an output folder without the partitions at its end, such as ``run_id=…``.

    ``folder`` is a ``pathlib.Path``, a ``UPath`` or an ``ObjectStoragePath``. The URI names no Airflow connection.
    """
    text = folder.absolute().as_uri() if isinstance(folder, Path) else redact_url(str(folder))
    root, *segments = text.rstrip("/").split("/")
    while segments and _PARTITION.match(segments[-1]):
        segments.pop()
    return "/".join([root, *segments])
