"""The gate of an endpoint's requests: the budgets of connection, spec and endpoint at once."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

from oauth_taskflow.api.pull.caps.past_cap import pull_past_cap
from oauth_taskflow.api.pull.page import Page
from oauth_taskflow.api.rate_limit import list_limits
from oauth_taskflow.api.request import ApiRequest
from oauth_taskflow.api.session import OAuthSession
from oauth_taskflow.budgets.gate import BudgetGate
from oauth_taskflow.budgets.keeper import Budgets, BudgetSet
from oauth_taskflow.specs.budgets import is_shared_by_spec
from oauth_taskflow.specs.model import Endpoint
from oauth_taskflow.templates.render import render_text


def pull_within_budgets(
    session: OAuthSession,
    name: str,
    endpoint: Endpoint,
    template_context: Mapping[str, Any],
    request: ApiRequest,
    **options: Any,
) -> Generator[Page, None, None]:
    """Yields the pages of ``pull_past_cap``, whose requests wait for the budgets of connection, spec and endpoint.

    Raises:
        ApiError: as ``pull_past_cap`` and ``find_gate``.
        TemplateFailed: the template of a weight fails.
    """
    gate = find_gate(session, name, endpoint, request, template_context)
    yield from pull_past_cap(session, request, gate=gate, **options)


def find_gate(
    session: OAuthSession,
    name: str,
    endpoint: Endpoint,
    request: ApiRequest,
    template_context: Mapping[str, Any],
) -> BudgetGate | None:
    """The gate of the requests of ``endpoint``; None where no budget applies.

    Raises:
        ApiError: the weight of a budget is not a number above 0.
        TemplateFailed: its template fails.
    """
    limits = list_limits(endpoint.rate_limit)
    budgets = getattr(session, "budgets", None)
    if not isinstance(budgets, Budgets):
        if not limits:
            return None
        from oauth_taskflow.budgets.local import (  # noqa: PLC0415 - loads SQLAlchemy
            local_budgets,
        )

        budgets = local_budgets(session.conn_id)
    budget_sets = (
        BudgetSet("spec", tuple(limit for limit in limits if is_shared_by_spec(limit))),
        BudgetSet(
            f"{session.conn_id}/{name}",
            tuple(limit for limit in limits if not is_shared_by_spec(limit)),
        ),
    )
    return budgets.find_endpoint_gate(
        name, request.path, budget_sets, lambda text: render_text(text, template_context)
    )
