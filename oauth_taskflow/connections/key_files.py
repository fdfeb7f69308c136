"""Reads the JSON key files of providers, which contain most of the connection as well as the private key.

Users paste the whole file into ``private_key``, or name its path in ``private_key_file``. Its contents fill the keys that
the connection leaves out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from oauth_taskflow.connections.convert import is_given
from oauth_taskflow.connections.credential_files import read_text
from oauth_taskflow.errors import ConnectionConfigError

_Json = Mapping[str, Any]
_KNOWN = (
    "Known are PEM, a JSON Web Key, and the key files of Google service accounts and of Box apps."
)


class _KeyFile(NamedTuple):
    """The key file of one provider: how to recognize it, and its contents as keys of a connection."""

    is_one: Callable[[_Json], bool]
    says: Callable[[_Json], dict[str, Any]]


def _google(file: _Json) -> dict[str, Any]:
    """The key file of a service account (https://developers.google.com/identity/protocols/oauth2/service-account)."""
    return {
        "provider": "google",
        "grant_type": "jwt_bearer",
        "client_id": file.get("client_email"),
        "key_id": file.get("private_key_id"),
        "token_url": file.get("token_uri"),
        "private_key": file.get("private_key"),
    }


def _box(file: _Json) -> dict[str, Any]:
    """The key file of an app that acts for its enterprise (https://developer.box.com/guides/authentication/jwt/jwt-setup)."""
    app = _inner(file, "boxAppSettings")
    auth = _inner(app, "appAuth")
    return {
        "provider": "box",
        "grant_type": "jwt_bearer",
        "client_id": app.get("clientID"),
        "client_secret": app.get("clientSecret"),
        "key_id": auth.get("publicKeyID"),
        "private_key": auth.get("privateKey"),
        "private_key_passphrase": auth.get("passphrase"),
        "subject": file.get("enterpriseID"),
        "assertion_claims": {"box_sub_type": "enterprise"},
    }


_FILES = (
    _KeyFile(lambda file: file.get("type") == "service_account", _google),
    _KeyFile(lambda file: "boxAppSettings" in file, _box),
)


def expand_key_file(
    conn_id: str, extra: dict[str, Any], login: str, password: str
) -> dict[str, Any]:
    """Returns ``extra`` with the contents of its key file instead of the file; unchanged without a key file.

    The connection's own keys, ``login`` and ``password`` take precedence.

    Raises:
        ConnectionConfigError: a file cannot be read, or is JSON of an unknown kind.
    """
    if is_given(extra.get("private_key")) == is_given(extra.get("private_key_file")):
        return extra  # without a key, or with two, which the reader of keys refuses
    name = "private_key" if is_given(extra.get("private_key")) else "private_key_file"
    file = _parse_json(conn_id, name, extra[name])
    if file is None:
        return extra
    if "kty" in file:
        return {**extra, "private_key": json.dumps(file)} if name == "private_key" else extra
    in_form = {"client_id": login, "client_secret": password}
    said = {
        key: value
        for key, value in _extract_keys(conn_id, name, file).items()
        if is_given(value) and not in_form.get(key)
    }
    own = {key: value for key, value in extra.items() if is_given(value) and key != name}
    return {**said, **own}


def _extract_keys(conn_id: str, name: str, file: _Json) -> dict[str, Any]:
    for kind in _FILES:
        if kind.is_one(file):
            said = kind.says(file)
            if isinstance(said["private_key"], str):
                return said
    raise ConnectionConfigError(
        "The JSON holds no private key", conn_id=conn_id, field=name, hint=_KNOWN
    )


def _parse_json(conn_id: str, name: str, value: Any) -> _Json | None:
    """Returns the JSON object in ``value``; None for everything else, above all PEM."""
    if isinstance(value, Mapping):
        return value
    if not isinstance(value, str):
        return None
    text = read_text(value.strip(), conn_id, name) if name == "private_key_file" else value.strip()
    if not text.startswith("{"):
        return None
    # Not strict: on its way through shells and forms the key's \n becomes a real line break.
    try:
        found = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        # No cause is chained: it quotes the document.
        raise ConnectionConfigError(
            "The JSON of the private key is broken",
            conn_id=conn_id,
            field=name,
            hint="Paste the whole file, from the first brace to the last.",
        ) from None
    return found


def _inner(file: _Json, name: str) -> _Json:
    found = file.get(name)
    return found if isinstance(found, Mapping) else {}
