"""Every key of a connection's ``extra``, once: the parser, the form in Airflow's UI and the manual read this table.

Every ``airflow`` command imports it (through the provider metadata), so it contains plain data and imports nothing else.
"""

from __future__ import annotations

from oauth_taskflow.connections.fields.aws import AWS_FIELDS
from oauth_taskflow.connections.fields.every_kind import EVERY_KIND_FIELDS
from oauth_taskflow.connections.fields.field import ConnectionField
from oauth_taskflow.connections.fields.grants import GRANT_FIELDS
from oauth_taskflow.connections.fields.oauth2 import OAUTH2_FIELDS
from oauth_taskflow.connections.fields.other_kinds import OTHER_KINDS_FIELDS

FIELDS: tuple[ConnectionField, ...] = (
    *EVERY_KIND_FIELDS,
    *OAUTH2_FIELDS,
    *GRANT_FIELDS,
    *OTHER_KINDS_FIELDS,
    *AWS_FIELDS,
)
BY_NAME = {field.name: field for field in FIELDS}

# Keys that later versions may read. They are refused and not ignored, because users rely on the keys that they write.
PLANNED = {
    "srv_lookup": "Write the host and port that the record names.",
}
_HEADERS = "headers http_headers extra_headers request_headers custom_headers default_headers"
# Names of other tools for our keys, and for the connection's host.
ELSEWHERE = {
    **dict.fromkeys(_HEADERS.split(), "api_headers"),
    **dict.fromkeys(("query_params", "request_params", "query_parameters"), "api_params"),
    **dict.fromkeys(("host", "base_url", "api_url", "url"), "host"),
    "keyfile_dict": "private_key",
    "key_path": "private_key_file",
    "federated_token_file": "client_assertion_file",
    "token_endpoint": "token_url",
    "access_token_url": "token_url",
    "token_refresh_endpoint": "token_url",
}
# HttpHook takes these out of extra for itself; an ``http`` connection may hold them.
HTTP_HOOK_NAMES = {"proxy": "proxies", "verify_ssl": "verify"}
HTTP_HOOK_OPTIONS = frozenset({"stream", "allow_redirects", "max_redirects", "check_response"})
# Accepted and ignored: proxies and .netrc of the environment are never read.
HTTP_HOOK_IGNORED = frozenset({"trust_env"})
