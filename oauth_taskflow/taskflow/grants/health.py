"""The state of a connection or grant in the words of the person who looks after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from oauth_taskflow.connections.summary import ConnectionSummary
from oauth_taskflow.taskflow.grants.grant_status import GrantStatus


class Health(Struct, frozen=True):
    """A state's label, one sentence about it, and its ``rank``: what needs a person most has the lowest."""

    label: str
    meaning: str
    rank: int


HEALTH: Mapping[str, Health] = {
    "needs_consent": Health(
        "Needs consent", "A person must authorize the connection again; tasks fail until then.", 0
    ),
    "missing": Health("Missing", "Tasks name this connection, and it does not exist.", 0),
    "unreadable": Health(
        "Unreadable", "No Fernet key of this deployment opens the stored grant.", 1
    ),
    "misconfigured": Health(
        "Misconfigured", "Something in the connection is wrong; the error says what to correct.", 2
    ),
    "failing": Health("Refresh failing", "The last refreshes failed, and they are tried again.", 3),
    "cooling_down": Health(
        "Cooling down", "After a failure, no worker asks the token endpoint for a while.", 4
    ),
    "never_connected": Health(
        "Never connected", "A person must authorize the connection before tasks can use it.", 5
    ),
    "orphaned": Health(
        "Orphaned",
        "The connection of these grants does not exist any more; they can be forgotten.",
        6,
    ),
    "unused": Health("Not used yet", "The first task that uses it fetches a token.", 6),
    "idle": Health("Idle", "The token has ended; the next use refreshes it.", 7),
    "healthy": Health("Healthy", "The token is valid, and refreshed ahead of its end.", 8),
    "superseded": Health(
        "Superseded", "The connection was edited since; its next use begins another grant.", 8
    ),
    "no_grant": Health(
        "Keeps no grant", "This kind of connection has nothing to refresh or to consent to.", 9
    ),
}
_OF_STATUS: Mapping[str, str] = {
    "unreadable": "unreadable",
    "misconfigured": "misconfigured",
    "needs_consent": "needs_consent",
    "revoked": "needs_consent",
    "fresh": "healthy",
    "stale": "healthy",
    "idle": "idle",
    "not_yet_used": "unused",
}


def judge_grant(status: GrantStatus, *, asks_person: bool) -> str:
    """The key in ``HEALTH`` for one stored grant, of a connection that begins with a person's consent or not."""
    if status.is_former:
        return "superseded"
    known = _OF_STATUS.get(status.state, "")
    if status.problem is not None and known not in {"unreadable", "misconfigured", "needs_consent"}:
        return "cooling_down" if status.asked_again_at is not None else "failing"
    if status.state == "expired":
        return "needs_consent"
    return known or ("never_connected" if asks_person else "unused")


def judge_connection(summary: ConnectionSummary | None, grants: Sequence[GrantStatus]) -> str:
    """The key in ``HEALTH`` for a connection: that of its latest grant, or of the first use to come.

    ``summary`` is None for grants whose connection is not known.
    """
    asks_person = summary is None or summary.asks_person
    current = choose_current(grants)
    if current is not None:
        return judge_grant(current, asks_person=asks_person)
    if summary is not None and summary.is_broken:
        return "misconfigured"
    if summary is not None and summary.auth_type != "oauth2":
        return "no_grant"
    is_waiting = asks_person and not (summary is not None and summary.has_seed)
    return "never_connected" if is_waiting else "unused"


def choose_current(grants: Sequence[GrantStatus]) -> GrantStatus | None:
    """The grant that was used or consented to last, without those of the connection before it was edited."""
    return max((one for one in grants if not one.is_former), key=_last_change, default=None)


def _last_change(status: GrantStatus) -> tuple[float, bool]:
    latest = max(
        status.refreshed_at or 0.0, status.consented_at or 0.0, status.failing_since or 0.0
    )
    return latest, status.state != "empty"
