"""The key ``brokered`` of a connection: facts about a token that only the broker writes, and only tasks read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import Meta, field

from oauth_taskflow.api.pull.records import AbsentRecords
from oauth_taskflow.api.response_rules import ResponseRule
from oauth_taskflow.oauth.request_proof import RequestProof
from oauth_taskflow.schema.reading import read_as
from oauth_taskflow.secret_values import Hidden, SecretValue

KEY = "brokered"
_Seconds = Annotated[float, Meta(ge=0, le=1 << 53)]


class BrokeredFields(SecretValue, frozen=True):
    """The value of ``brokered``. Instants are seconds since 1970 on the broker's clock.

    Unknown keys are ignored, so that a later broker may write more of them. ``request_proof`` holds the token's ``proof``
    and the fields of ``RequestProof``.
    """

    obtained_at: _Seconds | None = None
    expires_at: _Seconds | None = None
    answered_at: _Seconds | None = None
    request_proof: Hidden[Mapping[str, str]] = field(default_factory=dict)
    api_responses: tuple[ResponseRule, ...] = ()
    absent_records: AbsentRecords | None = None

    @property
    def proof(self) -> str:
        """The proof of the token; empty when the API wants none."""
        return self.request_proof.get("proof", "")

    @property
    def proof_location(self) -> RequestProof | None:
        """The parameter or header that carries ``proof``."""
        where = {name: text for name, text in self.request_proof.items() if name != "proof"}
        return read_as(RequestProof, where) if where else None


def read_brokered(value: Any) -> BrokeredFields:
    """``value`` as the broker wrote it.

    Raises:
        msgspec.ValidationError: it is not what the broker writes.
    """
    fields = read_as(BrokeredFields, value)
    _ = fields.proof_location
    return fields


def gather_former_keys(extra: Mapping[str, Any]) -> dict[str, Any]:
    """``extra`` with the six keys of former brokers moved into ``brokered``."""
    former = {name: extra[name] for name in BrokeredFields.__struct_fields__ if name in extra}
    if not former or KEY in extra or extra.get("auth_type") != "bearer":
        return dict(extra)
    rest = {name: value for name, value in extra.items() if name not in former}
    return {**rest, KEY: former}


def spread_former_keys(extra: Mapping[str, Any]) -> dict[str, Any]:
    """``extra`` with the keys of ``brokered`` moved to its top level: tasks of the former release refuse ``brokered``."""
    return {
        **{name: value for name, value in extra.items() if name != KEY},
        **extra.get(KEY, {}),
    }
