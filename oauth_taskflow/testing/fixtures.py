"""Pytest fixtures, registered by the ``pytest11`` entry point of this package.

>>> def test_sync(oauth_server):  # doctest: +SKIP
...     os.environ["AIRFLOW_CONN_CRM"] = oauth_server.connection_json()

``oauth_server`` is one running :class:`~oauth_taskflow.testing.OAuthTestServer` for one test; ``oauth_server_factory``
starts as many as wanted, with options. Nothing but pytest is imported until a test asks for one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from oauth_taskflow.testing.missing_extra import missing_extra

if TYPE_CHECKING:
    from oauth_taskflow.testing.server import OAuthTestServer

__all__ = ["ServerFactory", "oauth_server", "oauth_server_factory"]

ServerFactory = Callable[..., "OAuthTestServer"]
"""The type of ``oauth_server_factory``, for annotations."""


def _server_class() -> type[OAuthTestServer]:
    if missing := missing_extra():
        pytest.fail(missing, pytrace=False)
    # Imported here: this module is loaded by every pytest run of the environment, with or without the extra.
    from oauth_taskflow.testing.server import OAuthTestServer  # noqa: PLC0415

    return OAuthTestServer


@pytest.fixture
def oauth_server_factory() -> Iterator[ServerFactory]:
    """A function that starts a server with the options of ``OAuthTestServer``; all stop after the test."""
    server_class = _server_class()
    with ExitStack() as running:

        def start(**options: Any) -> OAuthTestServer:
            return running.enter_context(server_class(**options))

        yield start


@pytest.fixture
def oauth_server(oauth_server_factory: ServerFactory) -> OAuthTestServer:
    """A running authorization server and API with default options, for one test."""
    return oauth_server_factory()
