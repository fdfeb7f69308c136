"""Objects that contain a secret hide it and cannot leave their process."""

from __future__ import annotations

import copy
import importlib
import pickle
import pkgutil
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import is_dataclass
from pprint import pformat
from typing import Any

import pytest
from msgspec import Struct
from rich.pretty import pretty_repr

import oauth_taskflow
from oauth_taskflow.api.auth import ApiKeyAuth, BasicAuth, OAuth2Auth
from oauth_taskflow.api.request_secrets import Remembered
from oauth_taskflow.errors import ResultRefused
from oauth_taskflow.oauth.client import Client, TokenForm
from oauth_taskflow.oauth.credential_source import InlineCredential
from oauth_taskflow.oauth.endpoint.endpoint_request import DirectRequest
from oauth_taskflow.oauth.endpoint.messages import TokenHttpResponse
from oauth_taskflow.oauth.endpoint.outcomes import Granted
from oauth_taskflow.oauth.endpoint.request_encoding import Encoded
from oauth_taskflow.oauth.endpoint.token_endpoint import TokenEndpoint
from oauth_taskflow.oauth.extension_grants import JwtBearer, NamedGrant, Password
from oauth_taskflow.oauth.grants import GrantOptions, RefreshToken
from oauth_taskflow.oauth.login.authorization import AuthorizationCode, Verifier
from oauth_taskflow.oauth.login.device import DeviceCode
from oauth_taskflow.oauth.signing import Signer, shared_key
from oauth_taskflow.oauth.token import Token
from oauth_taskflow.redaction import is_sensitive_name
from oauth_taskflow.secret_values import NeverPickled, SecretValue
from oauth_taskflow.tokens.cipher import TokenCipher
from oauth_taskflow.tokens.state.record import GrantRecord
from tests.api.scripted import Sources
from tests.support.auth import bearer_auth
from tests.tokens.conftest import KEY

SECRET = "s3cret-" * 6
OPTIONS = GrantOptions(params={"secret": SECRET}, headers={"X-Key": SECRET})
TOKEN = Token(SECRET, 0.0, extras={"id_token": SECRET}, dpop_key=SECRET)
CLIENT = Client("me", SECRET, Signer(shared_key(SECRET)))
HOLDERS: list[object] = [
    TOKEN,
    CLIENT,
    OPTIONS,
    TokenForm((("client_secret", SECRET),), {"Authorization": SECRET}),
    RefreshToken(SECRET, OPTIONS),
    AuthorizationCode(SECRET, "http://127.0.0.1/cb", Verifier(SECRET)),
    DeviceCode(SECRET),
    Verifier(SECRET),
    shared_key(SECRET),
    InlineCredential(SECRET),
    Password("alice", SECRET),
    NamedGrant("vendor", OPTIONS),
    Granted(TOKEN, SECRET),
    TokenEndpoint("https://id.example.com/token", CLIENT, dpop_key=SECRET),
    DirectRequest((("token", SECRET),), OPTIONS, (SECRET,)),
    Encoded("GET", f"https://id.example.com/?code={SECRET}", SECRET.encode(), {"X-Key": SECRET}),
    TokenHttpResponse(200, {"x-token": SECRET}, SECRET.encode(), 0.0, 0.0),
    JwtBearer(Signer(shared_key(SECRET)), "me", "me", {"secret": SECRET}),
    GrantRecord("k" * 64, token=TOKEN, refresh_token=SECRET, alternates=(SECRET,)),
    TokenCipher([KEY]),
    bearer_auth(SECRET),
    BasicAuth("alice", SECRET),
    ApiKeyAuth("X-Key", SECRET),
    OAuth2Auth(Sources()),
    Remembered((SECRET,)),
]


@pytest.mark.parametrize("holder", HOLDERS, ids=lambda holder: type(holder).__name__)
@pytest.mark.parametrize("take_away", [pickle.dumps, copy.copy, copy.deepcopy])
def test_objects_with_secrets_hide_them_and_cannot_be_pickled_or_copied(
    holder: object, take_away: Callable[[object], object]
) -> None:
    inside = getattr(holder, "__dict__", {})
    assert (
        SECRET
        not in f"{holder!r} {holder!s} {inside!r} {pformat(holder)} {pformat(inside)} {pretty_repr(holder)}"
    )
    with pytest.raises(ResultRefused) as caught:
        take_away(holder)
    assert "holds a secret and is not pickled" in str(caught.value)
    assert SECRET not in str(caught.value)


def test_the_refusal_is_worded_whole() -> None:
    with pytest.raises(ResultRefused) as caught:
        pickle.dumps(TOKEN)
    assert str(caught.value) == (
        "A Token holds a secret and is not pickled. Pass the connection's id, and build it where it is used."
    )


# Texts whose names sound secret but are not: kinds, places, an error's code, an algorithm, a thumbprint.
HARMLESS = ("type", "_url", "_path", "_header", "_body", "key_id", "_name")
HARMLESS_NAMES = frozenset({"grant_key", "code", "dpop", "dpop_jkt"})

# Names of rows and values of records, where the same word elsewhere is a secret.
HARMLESS_FIELDS = frozenset({"KeyMark.key", "Window.key", "PendingCommit.token"})


def values_of_the_package() -> Iterator[type[Any]]:
    """The classes of values, of both kinds."""
    for found in pkgutil.walk_packages(oauth_taskflow.__path__, "oauth_taskflow."):
        if found.name.startswith(("oauth_taskflow.testing", "oauth_taskflow.specs")):
            continue
        try:
            with warnings.catch_warnings():
                # What Airflow's API server and its dependencies warn of among themselves is not ours to fix.
                warnings.simplefilter("ignore")
                module = importlib.import_module(found.name)
        except ModuleNotFoundError as missing:
            # Libraries of tests/tables, in its own environment.
            if (missing.name or "").partition(".")[0] not in {"deltalake", "dlt", "pyiceberg"}:
                raise
            continue
        for value in vars(module).values():
            if isinstance(value, type) and value.__module__ == found.name:
                yield from (value,) if is_dataclass(value) or issubclass(value, Struct) else ()


def fields_of(cls: type[Any]) -> Mapping[str, str]:
    """Name and type, as written, of the fields that the class itself has."""
    return {name: str(kind) for name, kind in vars(cls).get("__annotations__", {}).items()}


def holds_a_secret(name: str, kind: str) -> bool:
    """Whether a field of that name and type is a secret itself; a ``Token`` looks after itself."""
    if name.endswith(HARMLESS) or name in HARMLESS_NAMES:
        return False
    return is_sensitive_name(name) and kind.startswith(("str", "bytes", "tuple[str", "Mapping"))


@pytest.mark.airflow
def test_every_class_with_a_secret_field_is_a_secret_value_and_hides_it() -> None:
    holders = {
        (cls, name, kind.startswith("Hidden["))
        for cls in values_of_the_package()
        for name, kind in fields_of(cls).items()
        if holds_a_secret(name, kind.removeprefix("Hidden["))
        if f"{cls.__name__}.{name}" not in HARMLESS_FIELDS
    }
    assert len(holders) > 20
    assert [(cls, name) for cls, name, hidden in holders if not hidden] == []
    assert [cls for cls, _, _ in holders if not issubclass(cls, SecretValue)] == []


@pytest.mark.airflow
def test_only_classes_whose_repr_honours_it_use_hidden_fields() -> None:
    kinds = [(cls, kind) for cls in values_of_the_package() for kind in fields_of(cls).values()]
    hiding = {cls for cls, kind in kinds if "Hidden" in kind}
    assert len(hiding) > 20
    assert [cls for cls in hiding if not issubclass(cls, SecretValue)] == []


@pytest.mark.airflow
def test_classes_that_are_never_pickled_have_no_fields_that_vars_would_show() -> None:
    kept = [cls for cls in values_of_the_package() if issubclass(cls, NeverPickled)]
    assert len(kept) > 20
    assert [cls for cls in kept if "__dict__" in dir(cls)] == []
