"""Lists the reader of each ``auth_type``, which turns checked parts into settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from oauth_taskflow.connections.parts import ConnectionParts
from oauth_taskflow.connections.readers.aws import read_aws
from oauth_taskflow.connections.readers.oauth2 import read_oauth2
from oauth_taskflow.connections.readers.other_kinds import (
    read_api_key,
    read_basic,
    read_bearer,
    read_none,
)
from oauth_taskflow.connections.readers.self_signed import read_self_signed
from oauth_taskflow.connections.readers.session import read_session
from oauth_taskflow.connections.settings import AuthSettings

AUTH_READERS: Mapping[str, Callable[[ConnectionParts], AuthSettings]] = {
    "oauth2": read_oauth2,
    "bearer": read_bearer,
    "api_key": read_api_key,
    "basic": read_basic,
    "session": read_session,
    "self_signed_jwt": read_self_signed,
    "aws_sigv4": read_aws,
    "none": read_none,
}
