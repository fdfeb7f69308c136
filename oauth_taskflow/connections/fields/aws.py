"""The keys of ``extra`` about requests that are signed for AWS: plain data, part of ``table.FIELDS``."""

from __future__ import annotations

from oauth_taskflow.connections.fields.field import ConnectionField

_AWS = frozenset({"aws_sigv4"})

AWS_FIELDS: tuple[ConnectionField, ...] = (
    ConnectionField(
        "aws_region", "text", "AWS region", "Region in the signature, as in eu-central-1.", _AWS
    ),
    ConnectionField(
        "aws_service",
        "text",
        "AWS service",
        "Service in the signature: execute-api (API Gateway), sqs, cloudtrail, es, aoss, s3 and so on.",
        _AWS,
    ),
    ConnectionField(
        "aws_session_token",
        "secret",
        "AWS session token",
        "Session token of temporary keys.",
        _AWS,
    ),
    ConnectionField(
        "aws_profile",
        "text",
        "AWS profile",
        "Profile of the AWS configuration on the worker, instead of login and password.",
        _AWS,
    ),
)
