"""Client authentication on the wire (RFC 6749 §2.3)."""

from __future__ import annotations

import base64
from urllib.parse import unquote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import OctKey

from oauth_taskflow.oauth.client import Client, TokenForm
from oauth_taskflow.oauth.client_auth import (
    CLIENT_AUTH_METHODS,
    client_assertion,
    client_secret_basic,
    client_secret_basic_raw,
    client_secret_post,
    methods_that_need,
    register_client_auth,
    send_client_id,
)
from oauth_taskflow.oauth.signing import Signer, shared_key

FORM = TokenForm((("grant_type", "client_credentials"),))


def credentials(form: TokenForm) -> tuple[str, str]:
    """Id and secret in the Basic header, as sent."""
    scheme, _, encoded = form.headers["Authorization"].partition(" ")
    assert scheme == "Basic"
    name, _, secret = base64.b64decode(encoded).decode().partition(":")
    return name, secret


def test_rfc_6749_section_2_3_1_example() -> None:
    form = client_secret_basic(Client("s6BhdRkqt3", "7Fjfp0ZBr1KtDRbnfVdmIw"), FORM)
    assert form.headers["Authorization"] == ("Basic czZCaGRSa3F0Mzo3RmpmcDBaQnIxS3REUmJuZlZkbUl3")


@given(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8")))
def test_basic_form_encodes_any_id_and_secret_before_base64(client_id: str, secret: str) -> None:
    name, password = credentials(client_secret_basic(Client(client_id, secret), FORM))
    assert (unquote_plus(name), unquote_plus(password)) == (client_id, secret)


def test_basic_encodes_what_would_break_the_header() -> None:
    client = Client("id:1", "a b+c%ü")
    assert credentials(client_secret_basic(client, FORM)) == ("id%3A1", "a+b%2Bc%25%C3%BC")
    assert credentials(client_secret_basic_raw(client, FORM)) == ("id", "1:a b+c%ü")


@pytest.mark.parametrize("name", ["client_secret_basic", "client_secret_basic_raw"])
def test_basic_leaves_the_secret_out_of_the_body(name: str) -> None:
    assert CLIENT_AUTH_METHODS[name].apply(Client("me", "s"), FORM).params == FORM.params


def test_post_puts_id_and_secret_into_the_body_only() -> None:
    form = client_secret_post(Client("me", "s"), FORM)
    assert form.params == (*FORM.params, ("client_id", "me"), ("client_secret", "s"))
    assert form.headers == {}


def test_a_public_client_sends_its_id_only() -> None:
    form = send_client_id(Client("me", "unused"), FORM)
    assert (form.params, form.headers) == ((*FORM.params, ("client_id", "me")), {})


def test_a_custom_client_auth_method_can_be_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(CLIENT_AUTH_METHODS, "header", raising=False)
    register_client_auth("header", lambda client, form: form.with_header("X-Id", client.client_id))
    assert CLIENT_AUTH_METHODS.pop("header").apply(Client("me"), FORM).headers == {"X-Id": "me"}


def test_no_repr_shows_a_secret() -> None:
    client = Client("me", "hidden-secret")
    assert "hidden" not in repr(client) + repr(client_secret_post(client, FORM))


@pytest.mark.parametrize("name", ["client_secret_jwt", "private_key_jwt"])
def test_a_client_assertion_names_the_client_and_is_signed_for_each_request(name: str) -> None:
    signer = Signer(shared_key("k" * 32), "https://id.example.com/token")
    client = Client("me", "k" * 32, signer)
    one, two = (dict(CLIENT_AUTH_METHODS[name].apply(client, FORM).params) for _ in range(2))
    claims = jwt.decode(one["client_assertion"], OctKey.import_key("k" * 32)).claims
    assert (claims["iss"], claims["sub"], claims["aud"]) == ("me", "me", signer.audience)
    assert one["client_assertion_type"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    assert one["client_id"] == "me"
    assert "client_secret" not in one
    assert one["client_assertion"] != two["client_assertion"]


def test_a_scope_is_claimed_in_the_assertion_or_sent_but_not_both() -> None:
    signer = Signer(shared_key("k" * 32), "https://id.example.com/token")
    form = FORM.with_params(("scope", "one two"))

    def claimed_and_sent(client: Client, form: TokenForm) -> tuple[object, object]:
        sent = dict(client_assertion(client, form).params)
        claims = jwt.decode(sent["client_assertion"], OctKey.import_key("k" * 32)).claims
        return claims.get("scope"), sent.get("scope")

    assert claimed_and_sent(Client("me", signer=signer), form) == (None, "one two")
    assert claimed_and_sent(Client("me", signer=signer, asserts_scope=True), form) == (
        ["one", "two"],
        None,
    )
    assert claimed_and_sent(Client("me", signer=signer, asserts_scope=True), FORM) == (None, None)


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("private_key_jwt", "no key to sign a client assertion with"),
        ("private_key_jwt_header", "no key to sign a client assertion with"),
        ("client_assertion", "no client assertion is given"),
    ],
)
def test_a_client_assertion_needs_its_means(name: str, missing: str) -> None:
    with pytest.raises(ValueError, match=missing):
        CLIENT_AUTH_METHODS[name].apply(Client("me"), FORM)


@pytest.mark.parametrize("name", methods_that_need("certificate"))
def test_a_client_known_by_its_certificate_sends_its_id(name: str) -> None:
    form = CLIENT_AUTH_METHODS[name].apply(Client("me"), FORM)
    assert form.params == (*FORM.params, ("client_id", "me"))
