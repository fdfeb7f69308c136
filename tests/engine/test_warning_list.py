from __future__ import annotations

from oauth_taskflow.engine.warning_list import WarningList


def test_each_warning_is_kept_once_and_their_number_is_bounded() -> None:
    warnings = WarningList()
    for number in (1, *range(1, 30)):
        warnings(f"warning {number}")
    assert len(warnings.texts()) == 11
    assert warnings.texts()[-1] == "There are 19 more warnings like these."
