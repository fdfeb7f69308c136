"""Logins at servers with their own names of parameters, or without PKCE."""

from __future__ import annotations

from oauth_taskflow.oauth.dialect import RequestDialect
from oauth_taskflow.oauth.grants import GrantOptions
from oauth_taskflow.oauth.login.authorization import Authorization, AuthorizationServer

SERVER = AuthorizationServer("https://id.example.com/authorize")
CALLBACK = "http://127.0.0.1:8765/callback"


def test_the_authorization_request_uses_the_servers_names() -> None:
    rules = RequestDialect(rename={"client_id": "client_key", "scope": "user_scope"})
    attempt = Authorization(SERVER, "me", CALLBACK, GrantOptions(scope="a,b"), request=rules)
    sent = dict(attempt.parameters)
    assert (sent["client_key"], sent["user_scope"]) == ("me", "a,b")
    assert not {"client_id", "scope"} & sent.keys()


def test_pkce_is_left_out_only_when_the_server_refuses_it() -> None:
    for pkce in (True, False):
        attempt = Authorization(SERVER, "me", CALLBACK, pkce=pkce)
        code = attempt.read([("state", attempt.state), ("code", "c0de")])
        assert ("code_challenge" in dict(attempt.parameters)) is pkce
        assert ("code_verifier" in dict(code.form().params)) is pkce
        assert code.secrets() == (("c0de", attempt.verifier.value) if pkce else ("c0de",))
        assert "state" in dict(attempt.parameters)
