"""Messages about a provider, or a preset's key, that is wrong or missing."""

from __future__ import annotations

from typing import Any

import pytest

from oauth_taskflow.errors import ConnectionConfigError
from tests.taskflow.test_provider_presets import read_preset_connection


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (
            {"provider": "salesfroce"},
            "There is no preset of that name in connection 'crm', field 'provider'. "
            "Did you mean 'salesforce'?",
        ),
        (
            {"provider": "?"},
            "There is no preset of that name in connection 'crm', field 'provider'. "
            "List them with: airflow oauth presets",
        ),
        (
            {"provider": "shopify"},
            """Connection 'crm': provider Shopify needs key 'shop' in extra, e.g. {"shop": "acme-store"}. """
            "Name of the shop, the part before .myshopify.com.",
        ),
        (
            {"provider": "shopify", "shop": "evil.test/x"},
            "Connection 'crm': provider Shopify takes another form of 'shop'. "
            "Name of the shop, the part before .myshopify.com. Write it as in acme-store.",
        ),
        (
            {"provider": "jira"},
            "There is no preset of that name in connection 'crm', field 'provider'. "
            "Did you mean 'atlassian'?",
        ),
        (
            {"provider": "hub"},
            "There is no preset of that name in connection 'crm', field 'provider'. "
            "Did you mean 'github' or 'github-app-installation' or 'hubspot'?",
        ),
        (
            {"provider": "books"},
            "There is no preset of that name in connection 'crm', field 'provider'. "
            "Did you mean 'freshbooks' or 'quickbooks'?",
        ),
        (
            {"provider": "shopify", "shp": "acme"},
            """Connection 'crm': provider Shopify needs key 'shop' in extra, e.g. {"shop": "acme-store"}. """
            "Is it what 'shp' was meant to be? Name of the shop, the part before .myshopify.com.",
        ),
        (
            {"provider": "zendesk", "subdomain": "acme.zendesk.com"},
            "Connection 'crm': provider Zendesk takes another form of 'subdomain'. "
            "Your sub-domain. Write it as in acme.",
        ),
        (
            {"provider": "xero", "xero_tenant": "7"},
            "Unknown field in connection 'crm', field 'xero_tenant'. Did you mean 'xero_tenant_id'?",
        ),
        (
            {"provider": "xero", "realm_id": "7"},
            "Unknown field in connection 'crm', field 'realm_id'. "
            "Headers for the API go into api_headers.",
        ),
    ],
)
def test_a_wrong_provider_or_key_is_named(extra: dict[str, Any], message: str) -> None:
    with pytest.raises(ConnectionConfigError) as caught:
        read_preset_connection(extra["provider"], extra)
    assert str(caught.value) == message


@pytest.mark.parametrize(("provider", "auth_type"), [("docusign", "oauth2"), ("zoho", "bearer")])
def test_the_host_is_missing_when_neither_preset_nor_token_response_names_it(
    provider: str, auth_type: str
) -> None:
    with pytest.raises(ConnectionConfigError, match="The API's address is missing"):
        read_preset_connection(provider, {"auth_type": auth_type})
