"""The budgets of a whole spec, as entries of its endpoints: one list for each endpoint says all that applies."""

from __future__ import annotations

from msgspec.structs import replace

from oauth_taskflow.api.rate_limit import RateLimit, list_limits
from oauth_taskflow.specs.contract_files import with_schema_read
from oauth_taskflow.specs.model import Endpoint, Spec

SPEC_PREFIX = "spec:"
"""Begins the names of budgets that a spec's endpoints share; an author's name cannot begin like this."""


def complete_endpoint(spec: Spec, name: str) -> Endpoint:
    """The endpoint ``name`` as a task needs it: with the budgets of its file before its own, and its schema file read.

    The budgets of the file are shared by all endpoints of one connection.

    Raises:
        SchemaUnreadable: the schema file of its contract is gone since the check.
    """
    endpoint = with_schema_read(spec.endpoints[name], spec.path)
    shared = list_limits(spec.source.rate_limit)
    if not shared:
        return endpoint
    conn_id = endpoint.connection or spec.source.connection
    named = [_share(limit, f"{SPEC_PREFIX}{spec.source.dag_id}@{conn_id}") for limit in shared]
    return replace(endpoint, rate_limit=[*named, *list_limits(endpoint.rate_limit)])


def _share(limit: RateLimit, name: str) -> RateLimit:
    return limit if limit.name is not None else replace(limit, name=name)


def is_shared_by_spec(limit: RateLimit) -> bool:
    """Whether ``limit`` is one of the whole spec."""
    return (limit.name or "").startswith(SPEC_PREFIX)
