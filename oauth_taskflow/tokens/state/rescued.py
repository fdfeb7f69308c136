"""The answer of a refresh or of a person's consent, as it is kept until the store has it. No I/O."""

from __future__ import annotations

from typing import Any

from msgspec.structs import asdict

from oauth_taskflow.oauth.token import Token
from oauth_taskflow.secret_values import Hidden, SecretValue
from oauth_taskflow.tokens.state.kept_answer import KeptAnswer
from oauth_taskflow.tokens.state.record import token_fields


class ConsentFacts(SecretValue, frozen=True):
    """Facts of a person's consent that its answer does not hold.

    ``consent_id`` is random. ``by`` names the user who asked for it, ``dpop_key`` is the key that the trade was proved with.
    ``is_fenced`` says that the fence of its answer is that of the store shortly before the trade; else the store was away.
    """

    consent_id: str
    conn_id: str
    by: str = ""
    dpop_key: Hidden[str] = ""
    is_fenced: bool = True


class RescuedAnswer(SecretValue, frozen=True):
    """The result of a refresh (instants on the store's clock), and the lineage that it may replace.

    ``token`` is set once ``answer``, as it arrived, is judged. ``misplaced``: the refresh token was not where the
    connection looks for it. ``consent`` is set for the answer to a person's consent, which replaces the whole grant.
    ``others`` may be the right refresh token in the place of ``refresh_token``. ``sent`` is the refresh token that was sent
    where it is not the stored one, but an alternate or a predecessor.
    """

    grant_key: str
    fence: int
    lineage: str
    token: Token | None
    refresh_token: Hidden[str | None]
    answer: KeptAnswer | None = None
    misplaced: bool = False
    consent: ConsentFacts | None = None
    others: Hidden[tuple[str, ...]] = ()
    sent: Hidden[str | None] = None

    @property
    def living(self) -> str | None:
        """The refresh token that is valid after a granted request: the received one, otherwise the sent one (RFC 6749 §6).

        None where that is the stored one.
        """
        return self.refresh_token or self.sent

    @property
    def fields(self) -> dict[str, Any]:
        """It as JSON values; without an answer, version 0.1 reads them too."""
        fields = asdict(self)
        fields["token"] = None if self.token is None else token_fields(self.token)
        for name in ("answer", "misplaced", "consent", "others", "sent"):
            del fields[name]
        if self.answer is not None:
            fields |= {"answer": self.answer.fields, "misplaced": self.misplaced}
        if self.others:
            fields["others"] = list(self.others)
        if self.sent is not None:
            fields["sent"] = self.sent
        if self.consent is not None:
            fields["consent"] = asdict(self.consent)
        return fields

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> RescuedAnswer:
        """The result that ``fields`` gave."""
        token, answer, consent = fields["token"], fields.get("answer"), fields.get("consent")
        read = {
            "token": None if token is None else Token(**token),
            "answer": KeptAnswer.from_fields(answer) if answer else None,
            "consent": ConsentFacts(**consent) if consent else None,
            "others": tuple(fields.get("others", ())),
        }
        return cls(**{**fields, **read})
