"""Which values of an endpoint's records may show in messages, and which positions may be kept: what its ``fields`` say."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from functools import partial, wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

import msgspec

from oauth_taskflow.fields.options import Fields
from oauth_taskflow.fields.trace import is_kept_in_clear
from oauth_taskflow.record_values import ValuePolicy, apply_policy
from oauth_taskflow.specs.model import Endpoint
from oauth_taskflow.templates.references import parse_template

P = ParamSpec("P")
Result = TypeVar("Result")


class _Run(Protocol):
    @property
    def endpoint(self) -> Endpoint: ...


Work = TypeVar("Work", bound=_Run)


def build_policy(fields: Fields | None, params: Collection[str] = ()) -> ValuePolicy | None:
    """Returns the policy for records with ``fields``; None without ``hash`` and ``drop``, where all values may show.

    With ``hash`` no value shows: users who hash one field expect care with the others. With ``drop``, values show whose path is
    surely not dropped. ``params`` are the query parameters to hide.
    """
    if fields is None or not (fields.hashed or fields.drop):
        return None
    is_shown = _hide if fields.hashed else partial(is_kept_in_clear, fields)
    return ValuePolicy(is_shown, frozenset(params))


def find_policy(endpoint: Endpoint) -> ValuePolicy | None:
    """Returns the policy of an endpoint, which also hides the positions that are sent as hidden values."""
    fields = endpoint.fields
    params = () if fields is None else tuple(_find_params(endpoint, fields))
    return build_policy(fields, params)


def _hide(_: str) -> bool:
    return False


def hide_values(
    do: Callable[Concatenate[Work, P], Result],
) -> Callable[Concatenate[Work, P], Result]:
    """Makes ``do`` run under the policy of its endpoint."""

    @wraps(do)
    def do_hidden(run: Work, /, *args: P.args, **kwargs: P.kwargs) -> Result:
        with apply_policy(find_policy(run.endpoint)):
            return do(run, *args, **kwargs)

    return do_hidden


def shows_hidden_value(paginate: Any, fields: Fields | None) -> bool:
    """Whether the position of a pull is a value of the last record that ``fields`` may drop or hash."""
    path = _find_position_path(paginate)
    if path is None or fields is None:
        return False
    return bool(fields.hashed) or not is_kept_in_clear(fields, path)


def _find_position_path(paginate: Any) -> str | None:
    """Returns the path at which the last record has the position of the next request; None for other styles."""
    if paginate is None:
        return None
    if paginate.sort_key is not None:
        path: str = paginate.sort_key.path
        return path
    place = getattr(paginate, "last_record", None)
    return place if place is None or isinstance(place, str) else place.path


def _find_params(endpoint: Endpoint, fields: Fields) -> Iterator[str]:
    """Yields the query parameters that send a dropped or hashed value of the last record."""
    paginate: Any = endpoint.paginate
    path = _find_position_path(paginate)
    if path is not None and not is_kept_in_clear(fields, path):
        sent = getattr(paginate, "sent_names", {}).get("token")
        yield from () if sent is None else (sent,)
        yield from _find_token_params(endpoint)
    cap = getattr(paginate, "cap", None)
    if cap is not None and cap.field is not None and cap.param is not None:
        yield from () if is_kept_in_clear(fields, cap.field) else (cap.param,)


def _find_token_params(endpoint: Endpoint) -> Iterator[str]:
    params = msgspec.to_builtins(endpoint.request.params)
    for name, value in params.items() if isinstance(params, dict) else ():
        if isinstance(value, str) and ("page", "token") in parse_template(value).references:
            yield name
