"""A connection of every kind, the servers that they ask, and the secrets in them.

The secrets hold characters that URLs, forms, JSON and Basic credentials encode, so that each form differs from the raw
one. Files that must hold secrets are in ``keep``, which is not scanned.
"""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from oauth_taskflow.testing import OAuthTestServer
from oauth_taskflow.testing.api import StaticCredentials
from oauth_taskflow.testing.assertion_grants import USERS
from oauth_taskflow.testing.server_state import Client
from tests.oauth.keys import certificate_of, new_key, pem_of, public_pem_of
from tests.oauth.raw_server import self_signed

Connection = dict[str, Any]

SECRETS = {
    "client secret": "Cl1ent/s3cret+of=the&test?çlient",
    "raw secret": "R4w/s3cret=of&the?test~çlient",  # nothing that decoding would change
    "shared key": 'H5/m4c+key=of&"signed"?assertions~0815',
    "static token": "B3arer/of+the~static.kind-0815",
    "API key": "Ap1/key+which=opens&with?it",
    "API header": "X1/tra+header=of&every?request",
    "added parameter": "4dded/parameter+of=each&request?ö",
    "added member": "4dded/m3mber+of=each&body?ö",
    "AWS key": "4ws/s3cret+access=key&of?the~signer",
    "AWS token": "4ws/session+t0ken=of&the?signer",
    "login password": "Pa55/word+for=login&basic?ö",
    "user password": "Us3r/pass+word=of&alice?é",
    "wrong secret": "Wr0ng/secret+that=opens&nothing?",
    "passphrase": "Pa55/phrase+of=the&private?key",
    "SAML signature": "5aml/signature+of=the(assertion)?ñ",
    "actor token": "4ctor/token+from=a&file?",
    "query token": "EAAm/eta+token=of&a?user",
    **{f"next query token #{n}": f"EAAn/ext+token=of&a?user-{n:02}" for n in range(40)},
    "token parameter": "T0ken/param+secret=of&the?request",
    "token header": "T0ken/header+secret=of&the?request",
}
USER = "admin"


@dataclass
class World:
    """The servers, the folder ``keep`` of files that hold secrets by right, and keys made for this run."""

    plain: OAuthTestServer
    mutual: OAuthTestServer
    proved: OAuthTestServer
    keep: Path
    ca: Path
    secrets: dict[str, str] = field(repr=False)

    @property
    def servers(self) -> tuple[OAuthTestServer, ...]:
        """All of them."""
        return self.plain, self.mutual, self.proved

    def keep_file(self, name: str, text: str) -> str:
        """The path of a new file in ``keep``."""
        path = self.keep / name
        path.write_text(text)
        return str(path)


@contextmanager
def running_world(keep: Path) -> Iterator[World]:
    """Servers for every kind: a plain one, one that wants client certificates, one that wants DPoP with nonces."""
    keys = {name: new_key() for name in ("private key", "locked key", "certificate key")}
    pems = {name: pem_of(key) for name, key in keys.items()}
    locked = pem_of(keys["locked key"], SECRETS["passphrase"].encode())
    make = partial(OAuthTestServer, client_secret=SECRETS["client secret"])
    certificate = certificate_of(keys["certificate key"])
    (keep / "clients.pem").write_bytes(certificate)
    (keep / "client.pem").write_text(pems["certificate key"] + certificate.decode())
    context, ca = self_signed(keep)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(keep / "clients.pem")
    plain, mutual, proved = make(token_lifetime=2.0), make(tls=context, token_lifetime=None), make()
    der = x509.load_pem_x509_certificate(certificate).public_bytes(Encoding.DER)
    _register(mutual, mutual.client_id, "tls_client_auth", certificate=der)
    for name, method in (("signing", "private_key_jwt"), ("granted", "none")):
        _register(plain, name, method, public_key=public_pem_of(keys["private key"]).decode())
    _register(
        plain, "locked", "private_key_jwt", public_key=public_pem_of(keys["locked key"]).decode()
    )
    app = rsa.generate_private_key(65537, 2048)  # the only kind that GitHub takes
    pems["app key"] = pem_of(app)
    _register(plain, "app", "private_key_jwt", public_key=public_pem_of(app).decode())
    public = public_pem_of(keys["private key"]).decode()
    _register(proved, "asserted", "private_key_jwt", public_key=public)
    _register(plain, "hmac", "client_secret_jwt", client_secret=SECRETS["shared key"])
    _register(plain, "raw", "client_secret_basic", client_secret=SECRETS["raw secret"])
    plain.credentials = StaticCredentials(
        SECRETS["static token"], SECRETS["API key"], USER, SECRETS["login password"]
    )
    # Clients refresh often; what Airflow does in between, such as a write-back, may take longer than two seconds.
    plain.policy = replace(plain.policy, json_body=True, tolerance=600.0)
    plain.desk.device_interval = 0.2
    for name in (name for name in SECRETS if name.startswith("next")):
        answer = {"access_token": SECRETS[name], "expires_in": 5000000}
        plain.fault("/oauth/meta", status=200, body=json.dumps(answer))
    proved.dpop.required, proved.dpop.nonces = True, 1
    before = dict(USERS)
    USERS["alice"] = SECRETS["user password"]
    with ExitStack() as stack:
        stack.callback(USERS.update, before)
        for server in (plain, mutual, proved):
            stack.enter_context(server)
        yield World(plain, mutual, proved, keep, ca, {**SECRETS, **pems, "locked file": locked})


def _register(server: OAuthTestServer, client_id: str, method: str, **about: Any) -> None:
    client = Client(client_id, auth_methods=frozenset({method}), scopes=("airports.read",), **about)
    server.state.clients[client_id] = client


def add_static_kinds(world: World) -> dict[str, Connection]:
    """Credentials that never change, and what is handed out as it is."""
    secrets = world.secrets

    def static(kind: str, below: str, **fields: Any) -> Connection:
        extra = {"auth_type": kind, **fields.pop("extra", {})}
        return {
            "conn_type": "oauth2",
            "host": world.plain.base_url + below,
            "extra": extra,
            **fields,
        }

    headers = {"api_headers": {"X-Api-Secret": secrets["API header"]}}
    key, token = {"password": secrets["API key"]}, {"password": secrets["static token"]}
    added = {"api_params": {"auth": "{password}", "v": "2"}}
    member = {"api_body": {"auth": {"token": "{password}"}}}
    named = {"token_header": "X-Auth-Token: {token}"}
    user = {"login": USER, "password": secrets["login password"]}
    return {
        "bearer": static("bearer", "/with/bearer", **token),
        "header": static("api_key", "/with/api_key", **key, extra=headers),
        "query": static("api_key", "/with/none", **key, extra={"api_key_in": "query"}),
        "basic": static("basic", "/with/basic", **user),
        "custom": static("bearer", "/with/none", **token, extra=named),
        "added": static("none", "/with/none", password=secrets["added parameter"], extra=added),
        "bodied": static("none", "", password=secrets["added member"], extra=member),
        **_add_aws_kind(world),
        "placed": static("none", "/with/path/{password}", **key),
    }


def _add_aws_kind(world: World) -> dict[str, Connection]:
    """A connection that signs for AWS; ``/echo`` takes it, as it takes anything."""
    token = world.secrets["AWS token"]
    scope = {"aws_region": "eu-central-1", "aws_service": "execute-api", "aws_session_token": token}
    return {
        "aws": {
            "conn_type": "oauth2",
            "host": world.plain.base_url,
            "login": "AKIAEXAMPLE",
            "password": world.secrets["AWS key"],
            "extra": {"auth_type": "aws_sigv4", **scope},
        }
    }


def add_direct_kinds(world: World) -> dict[str, Connection]:
    """Every grant and client authentication, for tasks that get their tokens by themselves."""
    plain, secrets = world.plain, world.secrets
    older = {
        "auth_type": "oauth2",
        "client_id": plain.client_id,
        "client_secret": secrets["client secret"],
        "token_url": plain.token_url,
        "refresh_token": plain.issue_refresh_token(),
    }
    hidden = {
        "token_params": {"client_token": secrets["token parameter"]},
        "token_headers": {"X-Token-Secret": secrets["token header"]},
    }
    login = {"conn_type": "oauth2", "login": USER, "password": secrets["login password"]}
    return {
        "client": plain.connection(**hidden),
        "raw": plain.connection(
            login="raw", password=secrets["raw secret"], client_auth="client_secret_basic_raw"
        ),
        "posting": plain.connection(client_auth="client_secret_post"),
        "discovered": plain.connection(token_url=None, issuer=plain.base_url),
        "rotating": plain.connection(refresh_token=plain.issue_refresh_token()),
        "older": {"conn_type": "http", "host": plain.base_url, "extra": older},
        "login": {**login, "host": plain.base_url, "extra": {"auth_type": "session"}},
        "login_query": {
            **login,
            "host": plain.base_url,
            "extra": {"auth_type": "session", "token_in": "query"},
        },
        "bare": plain.connection(token_header="X-Auth-Token: {token}"),
        "written": plain.connection(refresh_token=plain.issue_refresh_token(), write_back=True),
        "refused": plain.connection(password=secrets["wrong secret"]),
        **_add_signed_kinds(world),
        **_add_delegated_kinds(world),
        **_add_preset_kinds(world),
    }


def _add_signed_kinds(world: World) -> dict[str, Connection]:
    plain, mutual, secrets = world.plain, world.mutual, world.secrets
    signing = partial(plain.connection, login="signing", password=None)
    return {
        "hmac": plain.connection(
            login="hmac", password=secrets["shared key"], client_auth="client_secret_jwt"
        ),
        "key": signing(private_key=secrets["private key"]),
        "key_file": signing(private_key_file=world.keep_file("key.pem", secrets["private key"])),
        "key_locked": plain.connection(
            login="locked",
            password=None,
            private_key=secrets["locked file"],
            private_key_passphrase=secrets["passphrase"],
        ),
        "app": plain.connection(
            provider="github-app-installation",
            installation_id="42",
            token_url=f"{plain.base_url}/app/installations/42/access_tokens",
            scope=None,
            login="app",
            password=None,
            private_key=secrets["app key"],
        ),
        "asserted": world.proved.connection(
            login="asserted",
            password=None,
            dpop=True,
            client_assertion_file=world.keep_file("asserted.jwt", _platform_token(world)),
        ),
        "self_signed": _self_signed(world),
        "mutual": mutual.connection(
            password=None,
            client_auth="tls_client_auth",
            introspect_url=f"{mutual.base_url}/oauth/introspect",  # no answer names a lifetime
            cert=str(world.keep / "client.pem"),
            verify=str(world.ca),
        ),
        "proved": world.proved.connection(dpop=True),
        "proved_rotating": world.proved.connection(
            dpop="ES384", refresh_token=world.proved.issue_refresh_token()
        ),
    }


def _self_signed(world: World) -> Connection:
    """A connection that signs its own tokens; ``/echo`` takes them, as it takes anything."""
    extra = {
        "auth_type": "self_signed_jwt",
        "private_key": world.secrets["private key"],
        "jwt_claims": {"aud": "api"},
    }
    return {"conn_type": "oauth2", "host": world.plain.base_url, "login": "me", "extra": extra}


def _platform_token(world: World) -> str:
    """Returns the platform's statement about the client ``asserted``, for the whole run."""
    now = int(time.time())
    claims = {"iss": "asserted", "sub": "asserted", "aud": world.proved.token_url, "jti": "once"}
    times = {"iat": now, "exp": now + 3600}
    return jwt.encode({**claims, **times}, world.secrets["private key"], "ES256")


def _add_delegated_kinds(world: World) -> dict[str, Connection]:
    plain, secrets = world.plain, world.secrets
    granted = partial(plain.connection, login="granted", password=None)
    signature = secrets["SAML signature"]
    saml = f"<Assertion><NameID>alice</NameID><Signature>{signature}</Signature></Assertion>"
    return {
        "jwt": granted(
            grant_type="jwt_bearer", private_key=secrets["private key"], subject="alice"
        ),
        "saml": plain.connection(grant_type="saml2_bearer", assertion=saml),
        "saml_file": plain.connection(
            grant_type="saml2_bearer", assertion_file=world.keep_file("saml.xml", saml)
        ),
        "exchange": plain.connection(
            grant_type="token_exchange",
            subject_token=plain.issue_access_token(),
            actor_token_file=world.keep_file("actor", secrets["actor token"]),
        ),
        "password": plain.connection(
            grant_type="password", username="alice", user_password=secrets["user password"]
        ),
    }


def _add_preset_kinds(world: World) -> dict[str, Connection]:
    plain, secrets = world.plain, world.secrets
    return {
        "zoom": plain.connection(
            provider="zoom-server-to-server", account_id="acme", grant_type="account_credentials"
        ),
        "notion": plain.connection(provider="notion", refresh_token=plain.issue_refresh_token()),
        "meta": plain.connection(
            provider="meta",
            token_url=f"{plain.base_url}/oauth/meta",
            refresh_token=secrets["query token"],
        ),
    }


def add_brokered_kinds(world: World) -> dict[str, Connection]:
    """Connections whose secrets stay on the API server, two of them for a person to authorize."""
    plain, secrets = world.plain, world.secrets
    base = plain.base_url
    personal = partial(
        plain.connection,
        grant_type="authorization_code",
        authorize_url=f"{base}/oauth/authorize",
        device_url=f"{base}/oauth/device",
        revoke_url=f"{base}/oauth/revoke",
    )
    login = {"conn_type": "oauth2", "login": USER, "password": secrets["login password"]}
    return {
        "crm": plain.connection(refresh_token=plain.issue_refresh_token(), write_back=True),
        "crm_key": plain.connection(
            login="signing", password=None, private_key=secrets["private key"]
        ),
        "crm_login": {**login, "host": base, "extra": {"auth_type": "session"}},
        "crm_query": plain.connection(
            provider="meta", token_url=f"{base}/oauth/meta", refresh_token=secrets["query token"]
        ),
        "crm_signed": _self_signed(world),
        "crm_param": plain.connection(token_in="query"),
        "wrong": plain.connection(password=secrets["wrong secret"]),
        "person": personal(par_url=f"{base}/oauth/par", write_back=True),
        "phone": personal(),
        "paper": personal(client_auth="client_secret_post"),
    }
