"""Facts that a person should know before a consent. It knows no FastAPI."""

from __future__ import annotations

from urllib.parse import urlsplit

from msgspec import Struct

from oauth_taskflow.errors import OAuthTaskflowError
from oauth_taskflow.presets.model import STANDARD
from oauth_taskflow.taskflow.grants.consent_flow import (
    check_store,
    find_revocation_url,
    refuse_without_consent,
)
from oauth_taskflow.taskflow.grants.managed_grant import ManagedGrant, load_managed_grant

_REPLACES = "A new consent replaces a grant that may be in use elsewhere."


class ConsentOffer(Struct, frozen=True):
    """Facts that a person should know before a consent.

    ``redirect_uri`` is the connection's own, empty without one. ``no_browser`` and ``no_device`` say why that way is
    closed; empty where it is open. ``place`` is the host that asks the person.
    """

    conn_id: str
    provider: str
    place: str
    scope: str
    redirect_uri: str
    no_browser: str
    no_device: str
    can_revoke_old: bool
    warnings: tuple[str, ...]


def describe_offer(conn_id: str) -> ConsentOffer:
    """Actions that are possible for the Connection ``conn_id``. The issuer's metadata may be fetched; nothing is stored.

    Raises:
        OAuthTaskflowError: the connection needs no consent, is wrong, or the store failed.
    """
    grant = load_managed_grant(conn_id)
    refuse_without_consent(grant)
    unreadable = check_store(grant)
    no_browser = _find_obstacle(grant, "authorize_url")
    address = "" if no_browser else grant.server.authorize_url
    return ConsentOffer(
        conn_id=conn_id,
        provider=_name_provider(grant),
        place=urlsplit(address).hostname or "",
        scope=grant.options.scope,
        redirect_uri=grant.consent.redirect_uri,
        no_browser=no_browser,
        no_device=_find_obstacle(grant, "device_url"),
        can_revoke_old=_can_revoke_old(grant),
        warnings=() if unreadable is None else (f"{_REPLACES} {unreadable}",),
    )


def _name_provider(grant: ManagedGrant) -> str:
    """The title of the connection's preset; empty without one. The preset of settings is a copy of the one it was made from."""
    title = grant.auth.preset.title
    return "" if title == STANDARD.title else title


def _find_obstacle(grant: ManagedGrant, name: str) -> str:
    """Why a consent by the endpoint ``name`` is not possible; empty if it is."""
    try:
        grant.endpoint_url(name)
    except OAuthTaskflowError as error:
        return str(error)
    return ""


def _can_revoke_old(grant: ManagedGrant) -> bool:
    try:
        return bool(find_revocation_url(grant))
    except OAuthTaskflowError:
        return False
