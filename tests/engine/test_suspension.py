"""Which errors suspend a pull, and which make it start over."""

from __future__ import annotations

import pytest

from oauth_taskflow.engine.resume import StartOver, starting_over, suspend
from oauth_taskflow.errors import ApiError


def test_only_errors_of_the_pull_suspend_it() -> None:
    assert suspend(ValueError("a defect"), 5.0) is None
    waiting = suspend(ApiError("The API is busy", where="at /x"), 5.0)
    assert waiting is not None
    assert (waiting.retry_after, waiting.where) == (5.0, "at /x")


@pytest.mark.parametrize("error", [ValueError("s"), TypeError("s"), ApiError("s")])
def test_a_stage_that_cannot_go_on_makes_the_pull_start_over(error: Exception) -> None:
    with pytest.raises(StartOver), starting_over():
        raise error
    with pytest.raises(KeyError), starting_over():
        raise KeyError("a defect")
