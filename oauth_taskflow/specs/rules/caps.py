"""Rules about the cap of an API: what is needed to read the rows behind it."""

from __future__ import annotations

from oauth_taskflow.specs.problem import Finding
from oauth_taskflow.specs.rules.registry import EndpointView, Findings, endpoint_rule

_BOTH = '{since: "{{ window.start }}", until: "{{ window.end }}"}'


@endpoint_rule("cap-without-window", about="paginate")
def cap_without_window(view: EndpointView) -> Findings:
    """A cap moves the bounds of the window, so the request must send them.

    `narrow` needs both bounds. `from_last_record` needs `window.start`, or `window.end` where the order is descending, and a
    field that moves it; or `param`.

    Bad: `cap: {rows: 10000, then: narrow}` with `params: {since: "{{ window.start }}"}`

    Good: the same with `params: {since: "{{ window.start }}", until: "{{ window.end }}"}`
    """
    cap = view.endpoint.paginate.cap if view.endpoint.paginate is not None else None
    if cap is None:
        return
    incremental = view.endpoint.incremental
    path = ("paginate", "cap", "then")
    if cap.then == "narrow":
        if incremental is None or view.sent_bounds != {"start", "end"}:
            message = "narrow needs a window of which the request sends both bounds"
            yield Finding(path, message, f"Write incremental, and params: {_BOTH}.")
    elif not cap.param:
        field = cap.field or (incremental.field if incremental is not None else None)
        bound = "start" if cap.order == "ascending" else "end"
        if incremental is None or field is None or bound not in view.sent_bounds:
            message = "nothing says from where to ask again at the cap"
            hint = f"Write field and param under cap, or incremental with a field, and send window.{bound}."
            yield Finding(path, message, hint)


@endpoint_rule("cap-against-order", about="paginate")
def cap_against_order(view: EndpointView) -> Findings:
    """`from_last_record` goes on upwards unless `cap.order` is descending; `incremental.order: newest_first` says the contrary.

    Bad: `cap: {rows: 1000, then: from_last_record, field: id, param: min_id}` with `incremental: {order: newest_first, ...}`

    Good: `cap: {rows: 1000, then: from_last_record, field: id, param: max_id, order: descending}` with the same
    """
    cap = view.endpoint.paginate.cap if view.endpoint.paginate is not None else None
    incremental = view.endpoint.incremental
    if cap is None or incremental is None or cap.then != "from_last_record":
        return
    if cap.order == "descending":
        return
    if incremental.order == "newest_first":
        message = "from_last_record needs records in ascending order, and incremental.order says newest_first"
        yield Finding(
            ("paginate", "cap", "then"), message, "Sort ascending, or write then: narrow."
        )


@endpoint_rule("cap-without-key", about="paginate")
def cap_without_key(view: EndpointView) -> Findings:
    """Records that are read again at a cap are recognised by their key.

    Only `narrow` with a `total` reads none again: page one shows that there are too many. So does `from_last_record` with
    `param`: it asks for exactly the value of the last record.

    Bad: `cap: {rows: 10000, then: from_last_record}` with `incremental: {field: updatedAt, ...}`

    Good: the same with `primary_key: id`
    """
    paginate = view.endpoint.paginate
    cap = paginate.cap if paginate is not None else None
    if paginate is None or cap is None or view.endpoint.primary_key is not None:
        return
    reads_again = not paginate.announced_total.place if cap.then == "narrow" else not cap.param
    if reads_again:
        path = ("paginate", "cap")
        message = "records that are read again at the cap cannot be recognised"
        yield Finding(path, message, "Write primary_key: id.")
