"""The parameters that each grant with another credential sends."""

from __future__ import annotations

import base64

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from oauth_taskflow.oauth.credential_source import InlineCredential
from oauth_taskflow.oauth.extension_grants import (
    JWT_BEARER,
    SAML2_BEARER,
    GivenAssertion,
    JwtBearer,
    NamedGrant,
    Password,
    PresentedToken,
    TokenExchange,
)
from oauth_taskflow.oauth.grants import Grant, GrantOptions
from oauth_taskflow.oauth.signing import Signer, shared_key

SECRET = "k" * 32
SIGNER = Signer(shared_key(SECRET), "https://id.example.com/token")


def sent_params(grant: Grant) -> list[tuple[str, str]]:
    return list(grant.form().params)


def test_jwt_bearer_signs_an_assertion_about_the_subject_for_each_request() -> None:
    grant = JwtBearer(SIGNER, "me", "alice", {"box_sub_type": "user"}, GrantOptions(scope="a"))
    one, two = dict(sent_params(grant)), dict(sent_params(grant))
    claims = jwt.decode(one["assertion"], OctKey.import_key(SECRET)).claims
    assert (claims["iss"], claims["sub"], claims["box_sub_type"]) == ("me", "alice", "user")
    assert claims["aud"] == "https://id.example.com/token"
    assert (one["grant_type"], one["scope"]) == (JWT_BEARER, "a")
    assert one["assertion"] != two["assertion"]
    assert grant.with_skew(9).signer.skew == 9
    assert grant.secrets() == ()


def test_saml_xml_is_sent_in_base64url_and_other_assertions_unchanged() -> None:
    xml = "<Assertion>ü?>~~</Assertion>"
    (_, kind), (_, value) = sent_params(GivenAssertion(SAML2_BEARER, InlineCredential(xml)))
    assert kind == SAML2_BEARER
    assert "=" not in value
    assert base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)).decode() == xml
    ready = GivenAssertion(JWT_BEARER, InlineCredential("a.b.c"))
    assert sent_params(ready) == [("grant_type", JWT_BEARER), ("assertion", "a.b.c")]
    assert ready.secrets() == ("a.b.c",)


def test_rfc_8693_section_2_3_example_with_an_actor_and_several_targets() -> None:
    grant = TokenExchange(
        PresentedToken(InlineCredential("accVkjcJyb4BWCxGsndESCJQbdFMogUC5PbRDqceLTC")),
        PresentedToken(InlineCredential("act"), "urn:ietf:params:oauth:token-type:jwt"),
        "urn:ietf:params:oauth:token-type:jwt",
        GrantOptions(audience="one two", resource=("https://a.example", "https://b.example")),
    )
    assert sent_params(grant) == [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("subject_token", "accVkjcJyb4BWCxGsndESCJQbdFMogUC5PbRDqceLTC"),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:access_token"),
        ("actor_token", "act"),
        ("actor_token_type", "urn:ietf:params:oauth:token-type:jwt"),
        ("requested_token_type", "urn:ietf:params:oauth:token-type:jwt"),
        ("audience", "one"),
        ("audience", "two"),
        ("resource", "https://a.example"),
        ("resource", "https://b.example"),
    ]
    assert grant.secrets() == ("accVkjcJyb4BWCxGsndESCJQbdFMogUC5PbRDqceLTC", "act")


def test_the_least_exchange_names_one_token() -> None:
    grant = TokenExchange(PresentedToken(InlineCredential("st")))
    assert [name for name, _ in sent_params(grant)] == [
        "grant_type",
        "subject_token",
        "subject_token_type",
    ]
    assert grant.secrets() == ("st",)


def test_the_password_grant_sends_name_and_password() -> None:
    grant = Password("alice", "pw", GrantOptions(scope="a"))
    assert sent_params(grant) == [
        ("grant_type", "password"),
        ("username", "alice"),
        ("password", "pw"),
        ("scope", "a"),
    ]
    assert grant.secrets() == ("pw",)


def test_a_vendors_grant_is_its_name_and_its_parameters() -> None:
    grant = NamedGrant(
        "fb_exchange_token", GrantOptions(params={"fb_exchange_token": "t", "v": "1"})
    )
    assert sent_params(grant) == [
        ("grant_type", "fb_exchange_token"),
        ("fb_exchange_token", "t"),
        ("v", "1"),
    ]
    assert grant.secrets() == ("t",)


PAIRS: list[tuple[Grant, Grant]] = [
    (JwtBearer(SIGNER, "me", "alice"), JwtBearer(SIGNER, "me", "bob")),
    (JwtBearer(SIGNER, "me", "alice"), JwtBearer(SIGNER, "me", "alice", {"scope": "a"})),
    (Password("alice", "pw"), Password("bob", "pw")),
    (
        GivenAssertion(JWT_BEARER, InlineCredential("a")),
        GivenAssertion(JWT_BEARER, InlineCredential("b")),
    ),
    (
        TokenExchange(PresentedToken(InlineCredential("a"))),
        TokenExchange(PresentedToken(InlineCredential("b"))),
    ),
    (
        TokenExchange(PresentedToken(InlineCredential("a"))),
        TokenExchange(PresentedToken(InlineCredential("a")), requested_type="x"),
    ),
]


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_grants_of_different_subjects_have_different_subject_keys(one: Grant, other: Grant) -> None:
    assert one.subject_key != other.subject_key


def test_no_repr_or_mark_shows_a_credential() -> None:
    hidden = InlineCredential("hidden-1")
    grants = (
        GivenAssertion(SAML2_BEARER, hidden),
        TokenExchange(PresentedToken(hidden), PresentedToken(hidden)),
        Password("alice", "hidden-2"),
        JwtBearer(SIGNER, "me", "alice"),
    )
    shown = "".join(repr(grant) + grant.subject_key for grant in grants)
    assert "hidden" not in shown
    assert SECRET not in shown


def test_no_extension_grant_is_single_use() -> None:
    assert not any((JwtBearer.single_use, GivenAssertion.single_use, TokenExchange.single_use))
    assert not any((Password.single_use, NamedGrant.single_use))
