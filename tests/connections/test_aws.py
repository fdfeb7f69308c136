"""Connections that sign for AWS, as the fields say."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from oauth_taskflow.api.aws_sigv4 import AwsKeys, AwsSigV4Auth
from oauth_taskflow.connections.parse import may_hold_grant, parse_connection
from oauth_taskflow.connections.settings import AwsSettings
from oauth_taskflow.errors import ConnectionConfigError
from tests.connections.samples import kind

SCOPE = {"aws_region": "eu-central-1", "aws_service": "execute-api"}


def read(extra: dict[str, Any], **fields: Any) -> Any:
    return parse_connection(kind("aws_sigv4", {**SCOPE, **extra}, **fields))


def test_access_keys_are_read_and_hidden() -> None:
    settings = read({"aws_session_token": "hush-token"}, login="AKID", password="hush-secret")
    assert settings.auth == AwsSettings(
        "eu-central-1", "execute-api", "AKID", "hush-secret", "hush-token"
    )
    assert {"hush-token", "hush-secret"} <= set(settings.secrets)
    assert "hush" not in repr(settings)


def test_without_keys_the_machine_signs() -> None:
    nothing = {"login": None, "password": None}
    assert read({}, **nothing).auth == AwsSettings("eu-central-1", "execute-api")
    assert read({"aws_profile": "etl"}, **nothing).auth.profile == "etl"


def test_connections_that_sign_for_aws_are_not_brokered() -> None:
    assert not may_hold_grant(kind("aws_sigv4"))


@pytest.mark.parametrize(
    ("extra", "fields", "words"),
    [
        ({"aws_region": ""}, {}, "aws_region is missing"),
        ({"aws_service": ""}, {}, "aws_service is missing"),
        ({"aws_region": "eu/central"}, {}, "aws_region is not a name of AWS"),
        ({"aws_service": "a b"}, {}, "aws_service is not a name of AWS"),
        ({}, {"password": None}, "The secret access key is missing"),
        ({}, {"login": None}, "The access key id is missing"),
        ({"aws_session_token": "t"}, {"login": None, "password": None}, "belongs to an access key"),
        ({"aws_profile": "etl"}, {}, "login and password would sign"),
        ({}, {"password": "hush hush"}, "holds a blank"),
        ({"token_header": "X: {token}"}, {}, "no effect with auth_type aws_sigv4"),
    ],
)
def test_keys_that_cannot_sign_are_refused(
    extra: dict[str, Any], fields: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConnectionConfigError) as caught:
        read(extra, **fields)
    assert words in str(caught.value)
    assert "hush" not in str(caught.value)


def test_a_missing_signer_is_named_with_the_way_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "botocore.credentials", None)
    with pytest.raises(ConnectionConfigError, match=r"pip install 'oauth-taskflow\[aws\]'"):
        AwsSigV4Auth(AwsKeys("a", "b"), region="eu-central-1", service="sqs", conn_id="queue")
