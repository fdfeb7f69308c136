"""The parameters of each grant (RFC 6749 §4.4.2 and §6, RFC 8707)."""

from __future__ import annotations

from oauth_taskflow.oauth.grants import ClientCredentials, GrantOptions, RefreshToken

EVERYTHING = GrantOptions(
    scope="a b", audience="api", resource=("https://one", "https://two"), params={"x": "y"}
)


def test_client_credentials_send_what_was_asked_for() -> None:
    assert ClientCredentials(EVERYTHING).form().params == (
        ("grant_type", "client_credentials"),
        ("scope", "a b"),
        ("audience", "api"),
        ("resource", "https://one"),
        ("resource", "https://two"),
        ("x", "y"),
    )


def test_empty_parameters_are_left_out() -> None:
    assert ClientCredentials().form().params == (("grant_type", "client_credentials"),)


def test_a_refresh_sends_the_refresh_token() -> None:
    assert RefreshToken("rt", GrantOptions(scope="a")).form().params == (
        ("grant_type", "refresh_token"),
        ("refresh_token", "rt"),
        ("scope", "a"),
    )


def test_extra_parameters_replace_those_of_their_name_so_that_none_repeats() -> None:
    options = GrantOptions(scope="a", params={"grant_type": "account_credentials", "scope": "b"})
    assert ClientCredentials(options).form().params == (
        ("grant_type", "account_credentials"),
        ("scope", "b"),
    )


def test_only_a_refresh_is_single_use() -> None:
    assert (RefreshToken("rt").single_use, ClientCredentials().single_use) == (True, False)


def test_a_grant_names_its_secrets_and_does_not_show_them() -> None:
    grant = RefreshToken("hidden", GrantOptions(params={"p": "hidden"}, headers={"X": "hidden"}))
    assert grant.secrets() == ("hidden",)
    assert ClientCredentials().secrets() == ()
    assert "hidden" not in repr(grant) + repr(grant.form())


def test_another_refresh_token_of_the_family_keeps_the_options() -> None:
    assert RefreshToken("a", EVERYTHING).with_refresh_token("b") == RefreshToken("b", EVERYTHING)
