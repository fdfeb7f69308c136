"""The databases of the tests."""

from __future__ import annotations

from cryptography.fernet import Fernet

from oauth_taskflow.testing import OAuthTestServer
from tests.database_server import empty_tables
from tests.tokens.worker import Plan


def test_a_database_of_an_earlier_test_has_no_grant_of_a_server_at_the_same_port(
    mariadb_url: str,
) -> None:
    key = Fernet.generate_key().decode()
    with OAuthTestServer() as server:
        plan = Plan.for_server(server, empty_tables(mariadb_url), key)
        plan.manager().token()
        assert plan.manager().stored.read().token is not None
        assert empty_tables(mariadb_url) == mariadb_url
        assert plan.manager().stored.read().token is None
