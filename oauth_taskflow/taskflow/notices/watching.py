"""Notifies people of the troubles of a grant: of each event once on each channel, whichever worker sees it."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from oauth_taskflow.errors import OAuthTaskflowError, TokenStoreError
from oauth_taskflow.notices.notice import build_notice, clean_text
from oauth_taskflow.notices.sent import Choice, is_still_true
from oauth_taskflow.notices.store import Topic
from oauth_taskflow.notices.trouble import Limits, Trouble
from oauth_taskflow.taskflow.notices.address_masking import hide_paths
from oauth_taskflow.taskflow.notices.delivery import Channel
from oauth_taskflow.taskflow.notices.grant_watch import GrantWatch, open_watch
from oauth_taskflow.taskflow.notices.page_link import link_to_connection

_log = logging.getLogger("oauth_taskflow.notices")
# Three kinds of trouble, and the recovery from each.
_MOST_AT_ONCE = 6


class Rules(Struct, frozen=True):
    """When people are notified: ``limits``, and the seconds after which a trouble that lasts is announced again (None: never)."""

    limits: Limits = Limits()
    repeat_after: float | None = None


def make_rules(
    due_within: timedelta,
    failing_for: timedelta,
    repeat_after: timedelta | None,
    unused_for: timedelta | None = None,
) -> Rules:
    """Returns the rules in seconds."""
    limits = Limits(due_within=due_within.total_seconds(), failing_for=failing_for.total_seconds())
    if unused_for is not None:
        limits = replace(limits, unused_for=unused_for.total_seconds())
    return Rules(limits, None if repeat_after is None else repeat_after.total_seconds())


class Report(Struct, frozen=True):
    """The troubles that were found, and the notices; ``sent`` are pairs of channel and kind, ``unsent`` the channels that failed, and why."""

    troubles: tuple[Trouble, ...]
    was_used: bool
    sent: tuple[tuple[str, str], ...] = ()
    unsent: tuple[str, ...] = ()


def watch_over(
    conn_id: str, channels: Sequence[Channel], rules: Rules, context: Mapping[str, Any]
) -> Report:
    """Uses the grant of the Connection ``conn_id`` if that is due, and notifies people of its troubles and of their ends.

    A channel that fails does not keep the others from being used, and gets its notice when this is called again.

    Raises:
        ConnectionConfigError: the connection is missing or wrong, or stores no grant.
        TokenStoreError: the store failed, or the API server is away.
    """
    watch = open_watch(conn_id, rules.limits)
    look = watch.look(rules.limits)
    was_used = look.is_refresh_due
    if was_used:
        try:
            watch.use()
        except TokenStoreError:
            raise
        except OAuthTaskflowError as error:
            # The next look says what it means for people; a warning at each run would be a notice at each run.
            _log.info("The grant of connection %s gave no token: %s", conn_id, error)
        look = watch.look(rules.limits)
    sent: list[tuple[str, str]] = []
    unsent: list[str] = []
    for channel in channels:
        sender = Sender(watch, Topic(conn_id, channel.name), channel, rules)
        try:
            sent += [(channel.name, kind) for kind in sender.send_due(look.troubles, context)]
        except TokenStoreError:
            raise
        # A notifier is code of others.
        except Exception as error:  # noqa: BLE001
            what = hide_paths(f"{type(error).__name__}: {error}")
            unsent.append(clean_text(f"{channel.name} ({what})"))
    return Report(look.troubles, was_used, tuple(sent), tuple(unsent))


def try_watch_over(
    conn_id: str, channels: Sequence[Channel], rules: Rules, context: Mapping[str, Any]
) -> tuple[str, ...]:
    """As ``watch_over``; returns what failed, so that the next connection is looked at all the same."""
    try:
        return watch_over(conn_id, channels, rules, context).unsent
    except OAuthTaskflowError as error:
        return (str(error),)


class Sender(Struct, frozen=True):
    """Sends the notices about one connection to one channel."""

    watch: GrantWatch
    topic: Topic
    channel: Channel
    rules: Rules

    def send_due(self, troubles: tuple[Trouble, ...], context: Mapping[str, Any]) -> list[str]:
        """Sends what is to be sent of ``troubles`` now, and returns the kinds of the notices."""
        sent: list[str] = []
        for _ in range(_MOST_AT_ONCE):
            owner = secrets.token_hex(16)
            claim = self.watch.keeper.claim(
                self.topic, troubles, owner=owner, repeat_after=self.rules.repeat_after
            )
            if claim.is_busy:
                _log.info("%s: another worker is sending a notice", self.topic.channel)
            if claim.choice is None or not self._send(claim.choice, owner, context):
                break
            sent.append(claim.choice.kind)
        return sent

    def _send(self, choice: Choice, owner: str, context: Mapping[str, Any]) -> bool:
        """Sends the notice of ``choice`` if it is true at this moment."""
        keeper, conn_id = self.watch.keeper, self.topic.conn_id
        try:
            troubles = self.watch.look(self.rules.limits).troubles
            is_true = is_still_true(choice, troubles)
            if is_true:
                notice = build_notice(
                    conn_id, choice, troubles, link_to_connection(conn_id, choice.kind)
                )
                self.channel.send(notice, context)
        except Exception:
            keeper.release(self.topic, owner)
            raise
        finish = keeper.settle if is_true else keeper.release
        finish(self.topic, owner)
        return is_true
