"""Warns when another package has replaced urllib3."""

from __future__ import annotations

import logging
from functools import lru_cache

import urllib3

_log = logging.getLogger(__name__)


@lru_cache(maxsize=1)
def warn_if_replaced() -> None:
    """Logs one line, once per process, when ``import urllib3`` loads urllib3-future, which niquests installs over it.

    Sessions work with it, but the limits of an answer hold less exactly: its connections read ahead on their own.
    """
    if hasattr(urllib3, "AsyncPoolManager"):  # urllib3 itself does not have it
        _log.warning(
            "Package urllib3-future %s has replaced urllib3 here, as niquests does. oauth-taskflow is tested with "
            "urllib3 alone: reinstall urllib3, and install urllib3-future with URLLIB3_NO_OVERRIDE=1 or elsewhere.",
            vars(urllib3)["__version__"],
        )
