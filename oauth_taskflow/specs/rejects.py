"""Which endpoints may reject records."""

from __future__ import annotations

from oauth_taskflow.specs.model import Endpoint


def can_reject(endpoint: Endpoint) -> bool:
    """Returns whether records of an endpoint may go to quarantine."""
    contract, fields = endpoint.contract, endpoint.fields
    modes = (
        {contract}
        if contract is None or isinstance(contract, str)
        else {contract.columns, contract.types}
    )
    return "discard_row" in modes or (fields is not None and fields.on_error == "quarantine")
