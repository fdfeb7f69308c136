"""Reads connections with ``auth_type`` aws_sigv4: requests that are signed with AWS Signature Version 4."""

from __future__ import annotations

import re

from oauth_taskflow.connections.parts import ConnectionParts
from oauth_taskflow.connections.settings import AwsSettings

# Both are parts of the scope of a signature, which slashes separate.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def read_aws(parts: ConnectionParts) -> AwsSettings:
    """Returns the settings of signed requests; without keys the credentials of the machine sign.

    Raises:
        ConnectionConfigError: a field is missing or wrong.
    """
    token, profile = (
        str(parts.values.get(f"aws_{name}", "")) for name in ("session_token", "profile")
    )
    if bool(parts.login) != bool(parts.password):
        name, what = (
            ("password", "secret access key") if parts.login else ("login", "access key id")
        )
        raise parts.error(
            f"The {what} is missing",
            name,
            "Put it there, or clear both: the credentials of the machine sign then.",
        )
    if token and not parts.login:
        raise parts.error(
            "A session token belongs to an access key",
            "aws_session_token",
            "Fill login and password.",
        )
    if profile and parts.login:
        raise parts.error(
            "A profile is named, and login and password would sign",
            "aws_profile",
            "Keep one of them.",
        )
    if any(ord(char) <= 32 for char in parts.login + parts.password):
        raise parts.error(
            "The key holds a blank or control character", "password", "Paste it again."
        )
    return AwsSettings(
        region=_read_name(parts, "aws_region", "eu-central-1"),
        service=_read_name(parts, "aws_service", "execute-api"),
        access_key_id=parts.login,
        secret_access_key=parts.password,
        session_token=token,
        profile=profile,
    )


def _read_name(parts: ConnectionParts, name: str, example: str) -> str:
    text = str(parts.values.get(name, ""))
    if not _NAME.fullmatch(text):
        what = "is not a name of AWS" if text else "is missing"
        raise parts.error(f"{name} {what}", name, f"Write it as in {example}.")
    return text
