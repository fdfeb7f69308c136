"""No secret gets out: in URLs, headers, forms and free text."""

from __future__ import annotations

import base64
import time
from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.redaction import (
    SHORTEST_SECRET,
    is_sensitive_name,
    redact_line,
    redact_text,
    redact_url,
    secret_forms,
)

# Long enough that none is part of an ordinary word of the text around it.
SECRETS = st.text(min_size=8, max_size=60).filter(
    lambda text: text.strip() == text and "*" not in text
)
NAMES = st.sampled_from(
    ["access_token", "api_key", "Authorization", "client_secret", "password", "code", "sig", "key"]
)


@pytest.mark.parametrize(
    "name",
    [
        "Authorization",
        "X-Auth-Token",
        "refresh_token",
        "jwt",
        "Set-Cookie",
        "code",
        "spapi_oauth_code",
        "X-Api-Key",
    ],
)
def test_names_of_secrets_are_recognised(name: str) -> None:
    assert is_sensitive_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "page",
        "Accept",
        "token_type",
        "token_url",
        "code_challenge_method",
        "keyword",
        "country_code",
    ],
)
def test_harmless_names_stay_readable(name: str) -> None:
    assert not is_sensitive_name(name)


@given(SECRETS, NAMES)
def test_no_sensitive_parameter_of_a_url_is_shown(secret: str, name: str) -> None:
    query = urlencode({"page": "2", name: secret})
    shown = redact_url(f"https://user:{quote(secret, safe='')}@api.example.com/v1?{query}#{secret}")
    assert shown.startswith("https://api.example.com/v1?page=2&")
    assert quote_plus(secret) not in shown.replace("page", "")
    assert "user" not in shown


def test_an_unreadable_url_is_not_shown_at_all() -> None:
    assert redact_url("https://[::1/?token=abc") == "<unreadable URL>"


@given(SECRETS)
def test_a_named_secret_is_removed_in_every_form(secret: str) -> None:
    forms = [
        secret,
        quote(secret, safe=""),
        quote_plus(secret),
        base64.b64encode(secret.encode()).decode(),
        base64.urlsafe_b64encode(secret.encode()).decode(),
    ]
    assert all(any(known in form for known in secret_forms(secret)) for form in forms)
    shown = redact_text(" | ".join(forms), [secret])
    assert all(form not in shown for form in forms)


@pytest.mark.parametrize("short", ["", "1", "ab", "1234"])
def test_a_text_too_short_to_be_a_secret_hides_nothing(short: str) -> None:
    assert secret_forms(short) == ()
    assert (
        redact_text("HTTP 401 on page 1234, 1 of ab", [short]) == "HTTP 401 on page 1234, 1 of ab"
    )
    assert SHORTEST_SECRET == 5


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_key_is_also_removed_line_by_line_at_the_cost_of_few_forms(end: str) -> None:
    body = [f"{number:02}+/" * 16 for number in range(24)] + ["MTIzNDU2Nzg5MDEyMzQ1Ng=="]
    key = end.join(["-----BEGIN PRIVATE KEY-----", *body, "-----END PRIVATE KEY-----", ""])
    forms = secret_forms(key)
    assert set(body) <= set(forms)
    assert len(forms) <= len(body) + 5
    assert not [line for line in redact_text("\n".join(body), [key]).split() if line != "***"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("sent Authorization: Bearer abc.def-ghi", "sent Authorization: Bearer ***"),
        ("Basic dXNlcjpwYXNz and more", "Basic *** and more"),
        ('{"refresh_token": "abc123", "page": 2}', '{"refresh_token": "***", "page": 2}'),
        ("client_secret=s3cr3t&grant_type=x", "client_secret=***&grant_type=x"),
        ("nothing to hide, page=2", "nothing to hide, page=2"),
    ],
)
def test_text_that_looks_like_a_secret_is_removed_without_being_named(
    text: str, shown: str
) -> None:
    assert redact_text(text, [""]) == shown


def test_a_jwt_in_a_text_is_removed_whatever_its_signature() -> None:
    token = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJtZSJ9.c2lnbmF0dXJl-_"
    assert redact_text(f"cannot use <{token}>, sorry") == "cannot use <***>, sorry"
    assert redact_text("eyJ is no token. Nor is eyJabc.") == "eyJ is no token. Nor is eyJabc."


@pytest.mark.parametrize(
    "part",
    ["x", "a.", "token", "password", "token ", "eyJaaaaaaaa.", "http://a/", "basic ", "QUJD+/"],
)
def test_the_cost_of_a_long_text_grows_with_its_length(part: str) -> None:
    began = time.monotonic()
    redact_text(part * (40_000 // len(part)), [])
    assert time.monotonic() - began < 5  # it was minutes, with each length squared


# The value, and a text with it.
CARRIED = [
    ("q7" * 20, "Bearer {}"),
    ("q7" * 20, "refresh_token={}"),
    ("eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbm5hIn0.c2lnbmF0dXJl", "the assertion is {}"),
]


@pytest.mark.parametrize(("value", "text"), CARRIED)
@pytest.mark.parametrize("longest", range(40, 110, 7))
def test_a_secret_where_a_long_line_is_cut_is_hidden(value: str, text: str, longest: int) -> None:
    shown = redact_line(f"{'x ' * 20}{text.format(value)}\nand more", longest)
    assert len(shown) <= longest
    assert not any(value[at : at + 4] in shown for at in range(len(value) - 3))


def test_a_line_has_no_breaks_and_no_sequences_of_a_terminal() -> None:
    assert redact_line("one\n  two\x1b[31m three", 13) == "one two[31m t"
