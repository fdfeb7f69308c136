"""AWS Signature Version 4 against moto, which computes and compares every signature itself."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator

import pytest
import requests

from oauth_taskflow.api.additions import AddingAuth, Additions
from oauth_taskflow.api.aio.session import AsyncOAuthSession
from oauth_taskflow.api.aws_sigv4 import AwsKeys, AwsSigV4Auth
from oauth_taskflow.api.session import OAuthSession
from oauth_taskflow.taskflow.sessions import open_session
from oauth_taskflow.testing.airflow_deployment import free_port
from tests.stores.conftest import HERE, _wait_for
from tests.taskflow.conftest import SetConnection

pytest.importorskip(
    "moto", reason="object stores are tested in .venv-services (scripts/test-services)"
)

# moto computes each signature by itself and refuses any other. (It refuses botocore's own of a GET to SQS too: queries are
# shown with S3, and by the vectors.)

ALLOW = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
}
BUCKET = "rows"


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, AwsKeys]]:
    """A server of AWS's APIs that checks signatures, and the keys of a user with all rights."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    log = tmp_path_factory.mktemp("moto") / "log"
    with log.open("wb") as out:
        server = subprocess.Popen(
            [sys.executable, "-m", "tests.stores.s3_server", str(port)],
            cwd=HERE.parents[1],
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_for(url, server)
        keys = _make_user(url)
        requests.post(f"{url}/moto-api/reset-auth", data="0", timeout=30).raise_for_status()
        yield url, keys
    finally:
        server.kill()  # it keeps everything in memory
        server.wait()


def _make_user(url: str) -> AwsKeys:
    auth = AwsSigV4Auth(AwsKeys("any", "thing"), region="us-east-1", service="iam")
    with OAuthSession(url, auth, headers={"Accept": "application/json"}) as session:
        version = {"Version": "2010-05-08", "UserName": "etl"}
        session.post("/", data={"Action": "CreateUser", **version}).raise_for_status()
        policy = {"PolicyName": "all", "PolicyDocument": json.dumps(ALLOW)}
        session.post("/", data={"Action": "PutUserPolicy", **version, **policy}).raise_for_status()
        made = session.post("/", data={"Action": "CreateAccessKey", **version}).text
    with OAuthSession(
        url, AwsSigV4Auth(AwsKeys("any", "thing"), region="us-east-1", service="s3")
    ) as s3:
        s3.put(f"/{BUCKET}").raise_for_status()

    def between(tag: str) -> str:
        return made.partition(f"<{tag}>")[2].partition("<")[0]

    return AwsKeys(between("AccessKeyId"), between("SecretAccessKey"))


def auth_for(keys: AwsKeys, service: str) -> AwsSigV4Auth:
    return AwsSigV4Auth(keys, region="us-east-1", service=service)


def test_forms_and_json_are_accepted(aws: tuple[str, AwsKeys]) -> None:
    url, keys = aws
    with OAuthSession(url, auth_for(keys, "sqs")) as session:
        made = session.post(
            "/", data={"Action": "CreateQueue", "QueueName": "a-b", "Version": "2012-11-05"}
        )
        assert made.status_code == 200, made.text
        headers = {
            "X-Amz-Target": "AmazonSQS.ListQueues",
            "Content-Type": "application/x-amz-json-1.0",
        }
        assert session.post("/", data=b"{}", headers=headers).json()["QueueUrls"]


@pytest.mark.parametrize(
    "key", ["plain", "with blank/and+plus", "a(b):c", "ünïcode~-_.", "q=1&r?%25"]
)
def test_s3_takes_every_key_and_every_query(aws: tuple[str, AwsKeys], key: str) -> None:
    url, keys = aws
    from urllib.parse import quote  # noqa: PLC0415 - the author's encoding

    with OAuthSession(f"{url}/{BUCKET}", auth_for(keys, "s3")) as session:
        put = session.put(f"/{quote(key)}", data=key.encode())
        assert put.status_code == 200, put.text
        assert session.get(f"/{quote(key)}").content == key.encode()
        listed = session.get("", params={"list-type": "2", "prefix": key})
        assert listed.status_code == 200, listed.text
        assert "<KeyCount>1</KeyCount>" in listed.text


def test_a_wrong_secret_and_a_changed_request_are_refused(aws: tuple[str, AwsKeys]) -> None:
    url, keys = aws
    wrong = AwsKeys(keys.access_key_id, "wrong" * 8)
    with OAuthSession(f"{url}/{BUCKET}", auth_for(wrong, "s3")) as session:
        refused = session.get("", params={"list-type": "2"})
        assert refused.status_code == 403
        assert "SignatureDoesNotMatch" in refused.text


def test_an_async_session_signs_as_a_session_does(aws: tuple[str, AwsKeys]) -> None:
    url, keys = aws

    async def talk() -> None:
        async with AsyncOAuthSession(f"{url}/{BUCKET}", auth_for(keys, "s3")) as session:
            put = await session.put("/async key", content=b"abc")
            assert put.status_code == 200, put.text
            assert (await session.get("/async key")).content == b"abc"
            listed = await session.get("", params={"list-type": "2", "prefix": "async key"})
            assert "<KeyCount>1</KeyCount>" in listed.text
        async with AsyncOAuthSession(url, auth_for(keys, "sqs")) as session:
            form = {"Action": "ListQueues", "Version": "2012-11-05"}
            assert (await session.post("/", data=form)).status_code == 200

    asyncio.run(talk())


def test_what_the_connection_adds_is_signed_too(aws: tuple[str, AwsKeys]) -> None:
    url, keys = aws
    auth = AddingAuth(
        auth_for(keys, "sqs"), Additions({"Version": "2012-11-05"}, {"Action": "ListQueues"})
    )
    with OAuthSession(url, auth) as session:
        answer = session.post("/", data={"QueueNamePrefix": "a"})
        assert answer.status_code == 200, answer.text


def test_a_connection_with_keys_signs_the_requests_of_its_session(
    aws: tuple[str, AwsKeys], set_connection: SetConnection
) -> None:
    url, keys = aws
    set_connection(
        "queue",
        {
            "conn_type": "oauth2",
            "host": url,
            "login": keys.access_key_id,
            "password": keys.secret_access_key,
            "extra": {"auth_type": "aws_sigv4", "aws_region": "us-east-1", "aws_service": "sqs"},
        },
    )
    with open_session("queue") as session:
        form = {"Action": "ListQueues", "Version": "2012-11-05"}
        assert session.post("/", data=form).status_code == 200
        assert keys.secret_access_key not in repr(session.auth)
