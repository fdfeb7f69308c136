"""A token store that goes by a clock that tests move."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import ColumnElement, Double, bindparam, literal

from oauth_taskflow.tokens.sql.store import SqlTokenStore
from oauth_taskflow.tokens.state.record import GrantRecord
from oauth_taskflow.tokens.state.transitions import Transition
from tests.support.clock import FakeClock


class ClockedStore(SqlTokenStore):
    """A store whose database lives on ``clock`` too. ``ahead`` is the database's clock minus ours.

    ``meanwhile`` happens once, just before the next change is written: another worker was faster.
    """

    ahead = 0.0
    meanwhile: Callable[[], None] | None = None

    def change(self, record: GrantRecord, transition: Transition) -> GrantRecord:
        happening, self.meanwhile = self.meanwhile, None
        if happening is not None:
            happening()
        return super().change(record, transition)

    def _now(self) -> ColumnElement[float]:
        return bindparam(None, callable_=self._read_clock, type_=Double, unique=True)

    def _first_number(self) -> ColumnElement[int]:
        return literal(0)  # so that tests can name fences

    def _read_clock(self) -> float:
        clock = self._clock
        assert isinstance(clock, FakeClock)
        return clock._start + clock._passed + self.ahead
