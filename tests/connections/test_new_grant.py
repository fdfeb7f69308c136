"""A grant that this file alone adds, from the keys of the connection to the server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, get_args

import pytest
from msgspec import field

from oauth_taskflow.connections.fields.field import ConnectionField
from oauth_taskflow.connections.fields.grants import GRANT_NAMES
from oauth_taskflow.connections.fields.table import BY_NAME, FIELDS
from oauth_taskflow.connections.parse import parse_connection
from oauth_taskflow.connections.parts import ConnectionParts
from oauth_taskflow.connections.readers import grant as grant_readers
from oauth_taskflow.connections.readers.grant import BUILT_IN, GRANT_READERS, register_grant
from oauth_taskflow.connections.settings import ConnectionSettings, OAuth2Settings
from oauth_taskflow.errors import ConnectionConfigError, TokenRequestRejected
from oauth_taskflow.oauth import extension_grants
from oauth_taskflow.oauth.client import Client, TokenForm
from oauth_taskflow.oauth.endpoint.outcomes import Granted, Rejected
from oauth_taskflow.oauth.endpoint.token_endpoint import TokenEndpoint
from oauth_taskflow.oauth.grants import BaseGrant, GrantOptions
from oauth_taskflow.oauth.signing import Signer
from oauth_taskflow.presets.model import GrantName
from oauth_taskflow.secret_values import Hidden
from oauth_taskflow.testing import OAuthTestServer
from oauth_taskflow.tokens.cipher import TokenCipher
from oauth_taskflow.tokens.grant_key import Fingerprints, GrantIdentity
from tests.connections.samples import connection

NAME = "account_credentials"
KEYS = (
    ConnectionField("account_id", "text", "Account", "The account.", frozenset({"oauth2"})),
    ConnectionField("account_pin", "secret", "PIN", "Its PIN.", frozenset({"oauth2"})),
)


class AccountGrant(BaseGrant, frozen=True):
    """The token of an account."""

    account: str
    pin: Hidden[str]
    options: GrantOptions = field(default_factory=GrantOptions)
    grant_type: ClassVar[str] = NAME

    def form(self) -> TokenForm:
        own = (("account_id", self.account), ("account_pin", self.pin))
        return self.options.form((("grant_type", NAME), *own))

    def secrets(self) -> tuple[str, ...]:
        return (self.pin,)

    def secret_fingerprints(self) -> tuple[str, ...]:
        return (self.pin,)

    @property
    def subject_key(self) -> str:
        return self.account

    @property
    def refusal_hint(self) -> str:
        return "Check account_id of connection {conn_id}."


def read_account(fields: ConnectionParts, _client_id: str, _signer: Signer | None) -> AccountGrant:
    if "account_id" not in fields.values:
        raise fields.error("The account is missing", "account_id", "Add account_id to extra.")
    values = fields.values
    return AccountGrant(values["account_id"], values.get("account_pin", ""))


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    known = dict(BY_NAME)
    register_grant(NAME, read_account, fields=KEYS)
    yield
    del GRANT_READERS[NAME]
    BY_NAME.clear()
    BY_NAME.update(known)


def settings_of(server: OAuthTestServer, **extra: str) -> ConnectionSettings:
    shown = server.connection(grant_type=NAME, **extra)
    return parse_connection(
        connection(shown["extra"], login=shown["login"], password=shown["password"])
    )


def grant_of(settings: ConnectionSettings) -> tuple[TokenEndpoint, AccountGrant]:
    auth = settings.auth
    assert isinstance(auth, OAuth2Settings)
    client = Client(auth.client_id, auth.client_secret)
    assert isinstance(auth.grant, AccountGrant)
    return TokenEndpoint(
        auth.token_url, client, auth.client_auth, conn_id="crm"
    ), auth.grant.with_options(GrantOptions(scope=auth.scope))


def test_a_registered_grant_is_traded_by_the_connection_that_names_it(
    oauth_server: OAuthTestServer,
) -> None:
    settings = settings_of(oauth_server, account_id="acme", account_pin="0815-pin")
    endpoint, grant = grant_of(settings)
    assert isinstance(endpoint.exchange(grant), Granted)
    assert oauth_server.requests[-1].form["account_pin"] == "0815-pin"
    assert "0815-pin" in settings.secrets
    assert "0815-pin" not in repr(settings)


def test_its_hint_is_shown_when_the_server_refuses_it(oauth_server: OAuthTestServer) -> None:
    endpoint, grant = grant_of(settings_of(oauth_server, account_id="other"))
    outcome = endpoint.exchange(grant)
    assert isinstance(outcome, Rejected)
    assert type(outcome.error) is TokenRequestRejected
    assert str(outcome.error).endswith("Check account_id of connection crm.")


def test_its_subject_and_its_credentials_make_other_tokens(oauth_server: OAuthTestServer) -> None:
    endpoint, one = grant_of(settings_of(oauth_server, account_id="acme", account_pin="1"))
    _, two = grant_of(settings_of(oauth_server, account_id="other", account_pin="2"))
    keys = [GrantIdentity.for_grant(endpoint, each, each.subject_key).key for each in (one, two)]
    assert keys[0] != keys[1]
    cipher = TokenCipher(["A" * 43 + "="])
    marks = [Fingerprints.for_grant(endpoint, each, cipher).client for each in (one, two)]
    assert marks[0] != marks[1]


def test_a_missing_key_is_named_and_a_misspelled_one_has_a_hint(
    oauth_server: OAuthTestServer,
) -> None:
    with pytest.raises(ConnectionConfigError, match="The account is missing"):
        settings_of(oauth_server)
    with pytest.raises(ConnectionConfigError, match="Did you mean 'account_id'"):
        settings_of(oauth_server, account_jd="acme")


def test_its_keys_have_no_effect_with_another_grant() -> None:
    extra = {"token_url": "https://x.example", "account_id": "acme"}
    with pytest.raises(ConnectionConfigError, match=f"set grant_type to {NAME}"):
        parse_connection(connection(extra))


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_a_grant_of_the_package_is_not_replaced(name: str) -> None:
    with pytest.raises(ValueError, match="choose another name"):
        register_grant(name, read_account)


def test_a_key_of_the_package_is_not_replaced() -> None:
    taken = ConnectionField("scope", "text", "Scope", "Another scope.")
    with pytest.raises(ValueError, match="scope belongs to oauth-taskflow"):
        register_grant("acme", read_account, fields=[taken])


def test_a_preset_may_list_every_grant() -> None:
    short = {sent: name for name, sent in GRANT_NAMES.items()}
    offered = {field.name: field for field in FIELDS}["grant_type"].choices
    names = {short.get(grant, grant.rpartition(":")[2]) for grant in offered}
    assert set(get_args(GrantName)) == names | {"vendor"}


def test_every_grant_has_a_reader_and_every_key_of_a_reader_is_a_connection_key() -> None:
    by_consent = {"authorization_code", "urn:ietf:params:oauth:grant-type:device_code"}
    offered = {field.name: field for field in FIELDS}["grant_type"].choices
    assert set(offered) - by_consent == BUILT_IN
    keys = {key for reader in GRANT_READERS.values() for key in reader.keys}
    assert keys <= set(BY_NAME)


def test_every_extension_grant_of_the_package_is_made_by_a_reader() -> None:
    classes = {
        name
        for name, value in vars(extension_grants).items()
        if isinstance(value, type)
        and issubclass(value, BaseGrant)
        and value.__module__ == extension_grants.__name__
    }
    assert classes
    assert sorted(classes - set(vars(grant_readers))) == []
