"""The quirks of the surveyed providers: each oddity is declared in its preset."""

from __future__ import annotations

from functools import reduce
from typing import Any

import pytest

from oauth_taskflow.presets.load import load_preset

QUIRKS: list[tuple[str, str, Any]] = [
    ("airtable", "pkce", "required"),
    ("airtable", "refresh.kills_access_token", True),
    ("amazon-sp-api", "response.code", "spapi_oauth_code"),
    ("amazon-sp-api", "token_header", "x-amz-access-token: {token}"),
    ("atlassian", "params.authorize", {"audience": "api.atlassian.com", "prompt": "consent"}),
    ("atlassian", "refresh.grace_s", 600),
    ("box", "params.token", {"box_subject_type": "{box_subject_type}", "box_subject_id": "{box_subject_id}"}),
    ("calendly", "refresh.rotation", "single_use"),
    ("calendly", "rate_limit.reset", "seconds"),
    ("coinbase", "refresh.rotation", "single_use"),
    ("databricks", "default_scopes", ("all-apis",)),
    ("deel", "refresh.rotation", "single_use"),
    ("docusign", "offline_scopes", ("extended",)),
    ("dropbox", "params.authorize", {"token_access_type": "offline"}),
    ("ebay", "response.token_types", ("User Access Token", "Application Access Token")),
    ("ebay", "scope_on_refresh", True),
    ("exact-online", "refresh.earliest_before_expiry_s", 30),
    ("exact-online", "rate_limit.reset", "epoch_ms"),
    ("fitbit", "rate_limit.reset", "seconds"),
    ("front", "client_auth", ("client_secret_basic",)),
    ("github", "refresh.kills_access_token", True),
    ("gitlab", "refresh.kills_access_token", True),
    ("gong", "base_url_from.path", "api_base_url_for_customer"),
    ("gong", "body", "query"),
    ("google", "params.authorize", {"access_type": "offline", "prompt": "consent"}),
    ("google", "refresh.rotation", "none"),
    ("keycloak", "refresh.lifetime_path", "refresh_expires_in"),
    ("linear", "scope_separator", ","),
    ("linear", "rate_limit.reset", "epoch_ms"),
    ("linkedin", "pkce", "off"),
    ("linkedin", "refresh.lifetime_path", "refresh_token_expires_in"),
    ("marketo", "request.method", "GET"),
    ("microsoft-entra", "default_scopes", ("{api_uri}/.default",)),
    ("microsoft-entra", "refresh.rotation", "rotate"),
    ("netsuite", "client_auth", ("client_secret_basic", "private_key_jwt")),
    ("netsuite", "request.scope_in_assertion", True),
    ("netsuite", "scope_separator", " "),
    ("notion", "body", "json"),
    ("okta", "refresh.grace_s", 30),
    ("pipedrive", "base_url_from.path", "api_domain"),
    ("quickbooks", "refresh.lifetime_path", "x_refresh_token_expires_in"),
    ("salesforce", "base_url_from.path", "instance_url"),
    ("sap-btp", "client_auth", ("client_secret_post", "tls_client_auth")),
    ("shopify", "params.token", {"expiring": "1"}),
    ("shopify", "token_header", "X-Shopify-Access-Token: {token}"),
    ("slack", "response.success", "ok == `true`"),
    ("slack-user", "request.rename", {"scope": "user_scope"}),
    ("smartcar", "refresh.grace_s", 60),
    ("snowflake", "params.refresh", {"redirect_uri": "{refresh_redirect_uri}"}),
    ("snowflake", "api_headers", {"X-Snowflake-Authorization-Token-Type": "OAUTH"}),
    ("spotify", "refresh.absolute_lifetime_s", 15552000),
    ("square", "response.expiry.source", "expires_at"),
    ("strava", "scope_separator", ","),
    ("tiktok", "request.rename", {"client_id": "client_key"}),
    ("ups", "request.refresh_url", "https://onlinetools.ups.com/security/v1/oauth/refresh"),
    ("x", "offline_scopes", ("offline.access",)),
    ("xero", "refresh.grace_s", 1800),
    ("xero", "api_headers", {"xero-tenant-id": "{xero_tenant_id}"}),
    ("zendesk", "refresh.kills_access_token", True),
    ("zoho", "base_url_from.path", "api_domain"),
    ("zoom-server-to-server", "params.token", {"grant_type": "account_credentials", "account_id": "{account_id}"}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "field", "value"), QUIRKS)
def test_the_quirks_of_a_provider_are_declared(name: str, field: str, value: Any) -> None:
    assert reduce(getattr, field.split("."), load_preset(name)) == value
