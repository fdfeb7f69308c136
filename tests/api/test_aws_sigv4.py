"""AWS Signature Version 4: AWS's published test vectors, and requests of a session."""

from __future__ import annotations

import datetime as dt
import io
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from oauth_taskflow import secret_registry
from oauth_taskflow.api import aws_sigv4
from oauth_taskflow.api.aws_sigv4 import AwsKeys, AwsSigV4Auth, normalize_url
from oauth_taskflow.api.session import OAuthSession
from oauth_taskflow.errors import ApiRequestFailed, ConnectionConfigError, ForeignOriginRefused
from tests.api.scripted import Reply, scripted

# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html, test suite of Signature Version 4
SUITE = AwsKeys("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
VECTORS = {
    "get-vanilla": (
        "GET",
        "/",
        None,
        "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
    ),
    "get-vanilla-query-order-key-case": (
        *("GET", "/?Param2=value2&Param1=value1", None),
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    ),
    "get-vanilla-query-unreserved": (
        "GET",
        "/?-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
        "=-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
        None,
        "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197",
    ),
    "get-vanilla-utf8-query": (
        *("GET", "/?\u1234=bar", None),
        "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04",
    ),
    "get-unreserved": (
        "GET",
        "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
        None,
        "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f",
    ),
    "post-vanilla": (
        "POST",
        "/",
        None,
        "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
    ),
    "post-vanilla-query": (
        *("POST", "/?Param1=value1", None),
        "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11",
    ),
    "post-x-www-form-urlencoded": (
        *("POST", "/", b"Param1=value1"),
        "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
    ),
}


@pytest.fixture
def in_2015(monkeypatch: pytest.MonkeyPatch) -> None:
    """The instant of the test suite."""
    monkeypatch.setattr(
        "botocore.auth.get_current_datetime",
        lambda **_: dt.datetime(2015, 8, 30, 12, 36, tzinfo=dt.timezone.utc),
    )


def suite_auth(**options: Any) -> AwsSigV4Auth:
    return AwsSigV4Auth(
        options.pop("keys", SUITE), region="us-east-1", service="service", **options
    )


def sign(
    auth: AwsSigV4Auth, method: str, target: str, body: bytes | None = None, **headers: str
) -> Any:
    url = f"https://example.amazonaws.com{target}"
    prepared = requests.Request(method, url, data=body, headers=headers).prepare()
    auth.apply(prepared)
    return prepared


@pytest.mark.parametrize("name", VECTORS)
def test_the_published_vectors(name: str, in_2015: None) -> None:
    method, target, body, signature = VECTORS[name]
    request = sign(suite_auth(), method, target, body, **(FORM if body else {}))
    assert request.headers["X-Amz-Date"] == "20150830T123600Z"
    signed = "content-type;host;x-amz-date" if body else "host;x-amz-date"
    assert request.headers["Authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        f"SignedHeaders={signed}, Signature={signature}"
    )


def test_a_session_token_is_signed_and_never_shown(
    in_2015: None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    token = "AQoDYXdzEPT//////////wEXAMPLE-session-token"
    auth = suite_auth(keys=AwsKeys(SUITE.access_key_id, SUITE.secret_access_key, token))
    for _ in range(2):
        request = sign(auth, "POST", "/")
    assert request.headers["X-Amz-Security-Token"] == token
    assert "SignedHeaders=host;x-amz-date;x-amz-security-token" in request.headers["Authorization"]
    assert {SUITE.secret_access_key, token} <= set(secret_registry.list_secrets())
    shown = f"{auth!r} {auth._credentials!r} {vars(auth)} {caplog.text}"
    assert "EXAMPLE-session" not in shown
    assert "wJalr" not in shown
    assert "CanonicalRequest" not in caplog.text


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("https://x/a b?q=a+b&c=%2b&d=%c3%a9", "https://x/a%20b?q=a%20b&c=%2B&d=%C3%A9"),
        ("https://x/a%2Fb(1):2?x", "https://x/a%2Fb%281%29%3A2?x"),
        ("https://x/?q=%252F&e=&=v", "https://x/?q=%252F&e=&=v"),
        ("https://x?q=%ff", "https://x/?q=%FF"),
    ],
)
def test_what_is_signed_is_what_is_sent(url: str, sent: str) -> None:
    assert normalize_url(url) == sent
    assert normalize_url(sent) == sent


def test_a_stream_is_refused_and_a_file_is_sent_whole() -> None:
    def chunks() -> Iterator[bytes]:
        yield b"abc"

    auth = suite_auth()
    with scripted(lambda _: {}) as api, OAuthSession(api.url, auth) as session:
        with pytest.raises(ApiRequestFailed, match="A stream cannot be signed"):
            session.put("/a", data=chunks())
        assert api.asked == []
        session.put("/a", data=io.BytesIO(b"abc"))
        assert api.asked[0].body == b"abc"


def test_each_attempt_and_hop_has_its_own_signature_and_other_origins_get_none() -> None:
    token = AwsKeys(SUITE.access_key_id, SUITE.secret_access_key, "session-token-of-mine")
    answers = iter([Reply({}, 503), Reply({}, 307, {"Location": "/b?x=1"}), Reply({})])
    with scripted(lambda _: {}) as foreign, scripted(lambda _: next(answers)) as api:
        with OAuthSession(api.url, suite_auth(keys=token)) as session:
            session.put("/a", json={"q": 1})
        signatures = [asked.headers["Authorization"].rpartition("=")[2] for asked in api.asked]
        assert signatures[1] != signatures[2]
        assert [asked.body for asked in api.asked] == [b'{"q": 1}'] * 3
        api.route = lambda _: Reply({}, 302, {"Location": f"{foreign.url}/f"})
        with (
            OAuthSession(api.url, suite_auth(keys=token)) as session,
            pytest.raises(ForeignOriginRefused),
        ):
            session.get("/a")
        assert foreign.asked == []
        with OAuthSession(api.url, suite_auth(keys=token), foreign_redirects="bare") as session:
            session.get("/a")
        sent = {name.lower() for name in foreign.asked[0].headers}
        assert not {name for name in sent if name.startswith(("x-amz-", "authorization"))}


def test_without_keys_the_machine_signs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    aws_sigv4._search_chain.cache_clear()
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    with pytest.raises(ConnectionConfigError, match="This machine has no AWS credentials"):
        suite_auth(keys=AwsKeys())
    with pytest.raises(ConnectionConfigError, match=r"\(ProfileNotFound\).*field 'aws_profile'"):
        suite_auth(keys=AwsKeys(profile="etl"))
    (tmp_path / "credentials").write_text(
        "[etl]\naws_access_key_id = AKIDPROFILE\naws_secret_access_key = of-the-profile\n"
    )
    request = sign(suite_auth(keys=AwsKeys(profile="etl")), "GET", "/")
    assert "Credential=AKIDPROFILE/" in request.headers["Authorization"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDENVIRONMENT")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of-the-environment")
    request = sign(suite_auth(keys=AwsKeys()), "GET", "/")
    assert "Credential=AKIDENVIRONMENT/" in request.headers["Authorization"]
    aws_sigv4._search_chain.cache_clear()


def test_a_role_whose_credentials_cannot_be_refreshed_is_one_clear_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from botocore.exceptions import MetadataRetrievalError  # noqa: PLC0415 - an extra

    auth = AwsSigV4Auth(SUITE, region="us-east-1", service="execute-api", conn_id="aws")

    class Role:
        def get_frozen_credentials(self) -> None:
            raise MetadataRetrievalError(error_msg="s3cret")

    monkeypatch.setattr(auth, "_credentials", Role())
    request = requests.Request("GET", "https://a.example/").prepare()
    with pytest.raises(ApiRequestFailed, match="AWS credentials could not be refreshed") as caught:
        auth.apply(request)
    assert caught.value.retryable
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("service", sorted(aws_sigv4._WITH_BODY_HASH))
def test_services_that_ask_for_the_hash_of_the_body_get_it(service: str) -> None:
    auth = AwsSigV4Auth(SUITE, region="us-east-1", service=service, conn_id="aws")
    request = requests.Request("POST", "https://a.example/", data=b"x").prepare()
    auth.apply(request)
    digest = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
    assert request.headers["X-Amz-Content-SHA256"] == digest
    assert "x-amz-content-sha256" in request.headers["Authorization"]
