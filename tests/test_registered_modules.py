"""A module that is written and named in no list, such as a file format without its entry, would do nothing."""

from __future__ import annotations

from tests.test_architecture import PACKAGE, modules, names_imported_by

# Users import the first, generated files come from the second, and the third is a command. Airflow loads those of taskflow.
ENTRANCES = {"api.options", "presets.schema", "specs.cli"}


def test_no_module_is_left_out_of_the_list_that_loads_it() -> None:
    imported = {name for path in modules() for name in names_imported_by(path)}
    names = [".".join(path.relative_to(PACKAGE).with_suffix("").parts) for path in modules()]
    alone = {
        name
        for name in names
        if not name.startswith(("taskflow.", "testing."))
        and not name.endswith("__init__")
        and f"oauth_taskflow.{name}" not in imported
    }
    assert alone == ENTRANCES
