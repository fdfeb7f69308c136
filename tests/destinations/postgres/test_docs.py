"""The page about PostgreSQL: its spec is valid, and it names what there is."""

from __future__ import annotations

import re
from pathlib import Path

from oauth_taskflow.destinations.postgres.options import PostgresDestination
from oauth_taskflow.destinations.postgres.settings import TableSettings
from oauth_taskflow.specs.check import check_text

PAGE = (Path(__file__).parents[3] / "docs" / "postgres.md").read_text(encoding="utf-8")


def test_the_spec_on_the_page_has_no_problem() -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert check_text(text).problems == ()


def test_every_option_and_technical_column_is_on_the_page() -> None:
    names = [
        *PostgresDestination.__struct_fields__,
        *TableSettings(mode="merge").technical_columns(),
    ]
    assert [name for name in names if name not in PAGE] == []
