"""A real authorization server and a paginated API on a loopback port, for tests and demos.

Install it with ``pip install 'oauth-taskflow[testing]'``. In a test, take the pytest fixtures ``oauth_server`` and
``oauth_server_factory``, or run it yourself:

>>> from oauth_taskflow.testing import OAuthTestServer
>>> with OAuthTestServer(token_lifetime=5, rotate=True) as server:  # doctest: +SKIP
...     os.environ["AIRFLOW_CONN_CRM"] = server.connection_json(
...         refresh_token=server.issue_refresh_token()
...     )
...     run_the_code()
...     assert server.counters.reuse_detected == 0

As a process: ``python -m oauth_taskflow.testing --port 0 --token-lifetime 5 --rotate --port-file port.txt``.

The authorization server is Authlib's, so it shares no code with the client it tests. ``server.py`` documents the options,
``api.py`` the resources, ``server_state.py`` rotation, grace and reuse detection, ``faults.py`` failures on demand, and
``control.py`` the endpoints for other processes.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oauth_taskflow.testing.faults import Fault
    from oauth_taskflow.testing.request_log import Counters, LoggedRequest
    from oauth_taskflow.testing.server import OAuthTestServer

__all__ = ["Counters", "Fault", "LoggedRequest", "OAuthTestServer"]

_HOME = {
    "Counters": "request_log",
    "Fault": "faults",
    "LoggedRequest": "request_log",
    "OAuthTestServer": "server",
}


def __getattr__(name: str) -> Any:
    # On first use: pytest imports this package at every start, and Authlib takes a while.
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
