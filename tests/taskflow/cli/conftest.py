"""A spec that commands pull."""

from __future__ import annotations

from pathlib import Path

import pytest

from oauth_taskflow.testing import OAuthTestServer
from tests.taskflow.conftest import SetConnection
from tests.taskflow.dags.specs_folder import write_spec


@pytest.fixture
def spec(tmp_path: Path, oauth_server: OAuthTestServer, set_connection: SetConnection) -> Path:
    """A spec with a connection to the test server."""
    set_connection("crm", oauth_server.connection())
    return write_spec(tmp_path)
