"""The answer of a refresh, as it is kept until the store has it. No I/O."""

from __future__ import annotations

from typing import Any

from msgspec.structs import asdict

from oauth_taskflow.oauth.token import Token
from oauth_taskflow.secret_values import Hidden, SecretValue
from oauth_taskflow.tokens.state.kept_answer import KeptAnswer
from oauth_taskflow.tokens.state.record import token_fields


class RescuedAnswer(SecretValue, frozen=True):
    """The result of a refresh (instants on the store's clock), and the lineage that it may replace.

    ``token`` is set once ``answer``, as it arrived, is judged. ``misplaced``: the refresh token was not where the
    connection looks for it.
    """

    grant_key: str
    fence: int
    lineage: str
    token: Token | None
    refresh_token: Hidden[str | None]
    answer: KeptAnswer | None = None
    misplaced: bool = False

    @property
    def fields(self) -> dict[str, Any]:
        """It as JSON values; without an answer, version 0.1 reads them too."""
        fields = asdict(self)
        fields["token"] = None if self.token is None else token_fields(self.token)
        del fields["answer"], fields["misplaced"]
        if self.answer is not None:
            fields |= {"answer": self.answer.fields, "misplaced": self.misplaced}
        return fields

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> RescuedAnswer:
        """The result that ``fields`` gave."""
        token, answer = fields["token"], fields.get("answer")
        read = {
            "token": None if token is None else Token(**token),
            "answer": KeptAnswer.from_fields(answer) if answer else None,
        }
        return cls(**{**fields, **read})
