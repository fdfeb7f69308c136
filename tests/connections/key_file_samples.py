"""Key files of providers for tests, and connections that hold them."""

from __future__ import annotations

from typing import Any

from oauth_taskflow.connections.parse import parse_connection
from oauth_taskflow.connections.settings import OAuth2Settings
from tests.connections.samples import kind
from tests.oauth.keys import pem_of, public_pem_of, rsa_key

RSA = rsa_key()
PEM = pem_of(RSA)
PUBLIC = public_pem_of(RSA).decode()
EMAIL = "etl@acme.iam.gserviceaccount.com"


def google_file(**changes: Any) -> dict[str, Any]:
    """The JSON that Google Cloud's console downloads."""
    return {
        "type": "service_account",
        "project_id": "acme",
        "private_key_id": "f00",
        "private_key": PEM,
        "client_email": EMAIL,
        "client_id": "1234567890",
        "auth_uri": "https://accounts.google.com/o/oauth2/auth",
        "token_uri": "https://oauth2.googleapis.com/token",
        "universe_domain": "googleapis.com",
        **changes,
    }


def box_file() -> dict[str, Any]:
    """The JSON that Box's developer console downloads."""
    auth = {
        "publicKeyID": "pk1",
        "privateKey": pem_of(RSA, b"open sesame"),
        "passphrase": "open sesame",
    }
    app = {"clientID": "box-app", "clientSecret": "box-secret", "appAuth": auth}
    return {"boxAppSettings": app, "enterpriseID": "4711"}


def auth_of(extra: dict[str, Any], **fields: Any) -> OAuth2Settings:
    """The checked settings of a connection with ``extra``."""
    found = parse_connection(kind("oauth2", extra, **{"login": "", "password": "", **fields})).auth
    assert isinstance(found, OAuth2Settings)
    return found
