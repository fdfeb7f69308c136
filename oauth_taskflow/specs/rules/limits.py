"""Rules about what Airflow takes: values that have the right form and that it refuses all the same."""

from __future__ import annotations

from urllib.parse import urlsplit

from oauth_taskflow.specs.problem import Finding
from oauth_taskflow.specs.rules.registry import Findings, SpecView, spec_rule

# Airflow keeps the names of all owners of a DAG in one column.
_OWNERS = 2_000


@spec_rule("bad-owner-link")
def bad_owner_link(view: SpecView) -> Findings:
    """The link of an owner is a URL with a host, or mailto: with an address.

    Bad: `owner_links: {data: example.com}`

    Good: `owner_links: {data: "https://example.com/team"}`, `owner_links: {data: "mailto:data@example.com"}`
    """
    for owner, link in view.source.owner_links.items():
        if not _is_link(link):
            hint = "Write https://example.com/team or mailto:data@example.com."
            yield Finding(
                ("owner_links", owner), f"{link!r} is not a link that Airflow takes", hint
            )


def _is_link(link: str) -> bool:
    try:
        parts = urlsplit(link)
    except ValueError:
        return False
    return bool(parts.path if parts.scheme == "mailto" else parts.scheme and parts.netloc)


@spec_rule("continuous-runs")
def continuous_runs(view: SpecView) -> Findings:
    """A schedule of `@continuous` starts a run when the last one has ended, so there is one run at once.

    Bad: `schedule: "@continuous"` with `max_active_runs: 2`

    Good: `schedule: "@continuous"` without it
    """
    runs = view.source.max_active_runs
    if view.source.schedule == "@continuous" and runs is not None and runs > 1:
        message = "a continuous schedule takes one run at once"
        yield Finding(("max_active_runs",), message, "Remove max_active_runs.")


@spec_rule("too-many-owners")
def too_many_owners(view: SpecView) -> Findings:
    """The names of all owners of a DAG's tasks have at most 2,000 characters together.

    Bad: a hundred endpoints, each with a different long owner

    Good: `default_args: {owner: data}`
    """
    owners = {view.source.default_args.owner}
    owners |= {endpoint.endpoint.task.owner for endpoint in view.endpoints}
    length = sum(len(owner) + 2 for owner in owners if isinstance(owner, str))
    if length > _OWNERS:
        message = (
            f"the owners' names have {length} characters together, and Airflow takes {_OWNERS}"
        )
        yield Finding((), message, "Let tasks share an owner.")
