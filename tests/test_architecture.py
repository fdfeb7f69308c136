"""The shape of the house: who may import whom, how large a file may grow."""

from __future__ import annotations

import ast
import pickle
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

import oauth_taskflow
from oauth_taskflow import errors

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "oauth_taskflow"
BASE = frozenset({path.stem for path in PACKAGE.glob("*.py")} | {"schema"})
# Modules of api that are read where a spec or a connection is.
OPTIONS = frozenset(
    {
        "api.pull.records",
        "api.rate_limit",
        "api.response_limits",
        "api.response_rules",
        "api.rule_waits",
    }
)
# Layer → the layers it may import; modules such as "api.paginators" and "oauth.token" cross borders.
ALLOWED: dict[str, frozenset[str]] = {
    "schema": frozenset(),
    "templates": BASE,
    "record_schema": BASE,
    "oauth": BASE,
    "budgets": BASE | {"api.rate_limit", "tokens.sql"},
    "consents": BASE | {"tokens.cipher", "tokens.sql"},
    "tokens": BASE | {"oauth"},
    "api": BASE
    | {"templates"}
    | {"oauth.dpop", "oauth.request_proof", "oauth.endpoint.expiry", "oauth.token"},
    "destinations": BASE
    | {"api.decoders", "api.pull.page", "api.pull.record_fields", "api.pull.watermark"}
    | {"record_schema"},
    "watermarks": BASE | {"api.pull.watermark", "tokens.sql"},
    "notices": BASE | {"tokens.sql", "tokens.state"},
    "fields": BASE | {"api.decoders", "api.pull.path_roots"},
    "contracts": BASE | {"api.decoders.numbers", "fields", "record_schema"},
    "specs": BASE
    | OPTIONS
    | {"api.paginators", "contracts", "destinations", "fields", "record_schema", "templates"},
    "presets": BASE | OPTIONS | {"oauth"},
    "connections": BASE | OPTIONS | {"oauth", "presets"},
    "engine": BASE
    | {"api", "budgets", "contracts", "destinations", "fields", "record_schema", "specs"}
    | {"templates", "watermarks"},
    "taskflow": BASE
    | {"oauth", "tokens", "api", "budgets", "consents", "contracts", "destinations", "fields"}
    | {"presets", "connections", "engine", "record_schema", "specs", "watermarks", "notices"},
    "testing": BASE,
}
PUBLIC = [
    "AsyncOAuthSession",
    "OAuth2Auth",
    "OAuth2Hook",
    "OAuth2HttpOperator",
    "OAuth2HttpSensor",
    "OAuthNotifier",
    "OAuthRetryPolicy",
    "OAuthSession",
    "build_dag",
    "endpoint_records",
    "endpoint_tasks",
    "load_maintenance",
    "load_specs",
    "oauth_task",
]


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py"))


def layer_of(dotted: str) -> str:
    return dotted.partition(".")[0] or "__init__"


class FileFacts(NamedTuple):
    """The imports of a file, late ones included; those that run too; and the functions of 50 lines or more."""

    imports: tuple[ast.Import | ast.ImportFrom, ...]
    run: tuple[ast.Import | ast.ImportFrom, ...]
    long_functions: tuple[str, ...]


@cache  # several tests look at all files, and reading one costs more than all they do with it
def facts_of(path: Path) -> FileFacts:
    tree = ast.parse(path.read_text())
    every = tuple(statements_below(tree))
    found = tuple(node for node in every if isinstance(node, ast.Import | ast.ImportFrom))
    unread = {
        below
        for node in every
        if isinstance(node, ast.If)
        and isinstance(node.test, ast.Name)
        and node.test.id == "TYPE_CHECKING"
        for below in statements_below(ast.Module(node.body, []))
    }
    functions = (node for node in every if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    long = (one.name for one in functions if (one.end_lineno or 0) - one.body[0].lineno >= 50)
    return FileFacts(found, tuple(node for node in found if node not in unread), tuple(long))


def statements_below(tree: ast.AST) -> Iterator[ast.AST]:
    """All statements, without the expressions in them, which are most of a tree."""
    left = [tree]
    while left:
        node = left.pop()
        for field in ("body", "orelse", "finalbody", "handlers", "cases"):
            below = getattr(node, field, ())
            yield from below
            left += below


def imports_of(path: Path) -> Iterator[str]:
    """Every module of ours that ``path`` imports, late imports included, as ``layer.module``."""
    for node in facts_of(path).imports:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("oauth_taskflow"):
            yield (node.module or "").removeprefix("oauth_taskflow").lstrip(".")
        elif isinstance(node, ast.Import):
            for name in node.names:
                if name.name.startswith("oauth_taskflow"):
                    yield name.name.removeprefix("oauth_taskflow").lstrip(".")


def foreign_imports(path: Path) -> list[str]:
    """What ``path`` imports although its layer may not."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    own = parts[0] if len(parts) > 1 else "__init__"
    allowed = ALLOWED.get(own, BASE) | {own}
    return [
        f"{'.'.join(parts)} imports {dotted}"
        for dotted in imports_of(path)
        if layer_of(dotted) not in allowed
        and not any(dotted == one or dotted.startswith(f"{one}.") for one in allowed)
    ]


def test_imports_point_downwards() -> None:
    # The lazy exports of the package itself name every layer.
    checked = [path for path in modules() if path != PACKAGE / "__init__.py"]
    assert [problem for path in checked for problem in foreign_imports(path)] == []


@cache
def names_imported_by(path: Path) -> frozenset[str]:
    """Every module that ``path`` may import when it runs, and every name that may be one."""
    found: set[str] = set()
    for node in facts_of(path).run:
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        else:
            found |= {f"{node.module}.{name.name}" for name in node.names} | {node.module or ""}
    return frozenset(found)


def test_no_modules_import_each_other_in_a_circle_late_imports_counted() -> None:
    names = {path: ".".join(path.relative_to(ROOT).with_suffix("").parts) for path in modules()}
    imported = {names[path]: set(names_imported_by(path)) & {*names.values()} for path in names}
    TopologicalSorter(imported).prepare()  # names the circle in its error


def test_paginators_know_no_pulling_and_pulling_knows_no_session() -> None:
    def imported(room: str) -> set[str]:
        files = (PACKAGE / "api" / room).rglob("*.py")
        names = {name for path in files for name in names_imported_by(path)}
        return {name for name in names if name.startswith("oauth_taskflow.api.")}

    below = ("oauth_taskflow.api.paginators", "oauth_taskflow.api.decoders.numbers")
    assert [name for name in sorted(imported("paginators")) if not name.startswith(below)] == []
    above = ("oauth_taskflow.api.session", "oauth_taskflow.api.aio")
    assert [name for name in sorted(imported("pull")) if name.startswith(above)] == []


def test_protocol_values_know_no_endpoint_and_endpoints_no_login() -> None:
    layers = {"oauth": ("oauth.endpoint", "oauth.login"), "oauth/endpoint": ("oauth.login",)}
    found = [
        f"{path.name} imports {dotted}"
        for folder, above in layers.items()
        for path in (PACKAGE / folder).glob("*.py")
        for dotted in imports_of(path)
        if dotted.startswith(above)
    ]
    assert found == []


def test_the_rooms_for_calls_and_commands_are_imported_by_no_other_part() -> None:
    rooms = tuple(f"taskflow.{room}." for room in ("http", "cli"))
    forwards = {PACKAGE / "__init__.py", PACKAGE / "taskflow" / "triggers.py"}
    found = [
        f"{path.relative_to(PACKAGE)} imports {dotted}"
        for path in modules()
        for dotted in imports_of(path)
        if path not in forwards
        and dotted.startswith(rooms)
        and not ".".join(path.relative_to(PACKAGE).parts).startswith(
            f"{dotted.rpartition('.')[0]}."
        )
    ]
    assert found == []


def test_the_page_is_loaded_by_its_plugin_alone_and_grants_know_neither_page_nor_command() -> None:
    page, grants = PACKAGE / "taskflow" / "page", PACKAGE / "taskflow" / "grants"
    from_outside = [
        f"{path.relative_to(PACKAGE)} imports {dotted}"
        for path in modules()
        for dotted in imports_of(path)
        if dotted.startswith("taskflow.page") and path.parent != page
        # Links to the page need its addresses, which load nothing.
        if dotted != "taskflow.page.places"
    ]
    assert from_outside == ["taskflow/preload.py imports taskflow.page.plugin"]
    foreign = ("fastapi", "starlette", "rich", "oauth_taskflow.taskflow.cli")
    found = {name for path in grants.glob("*.py") for name in names_imported_by(path)}
    assert [name for name in sorted(found) if name.startswith(foreign)] == []


def test_no_spans_are_written_and_metrics_in_one_place_only() -> None:
    writers = {"opentelemetry", "statsd", "stats", "metrics", "observability", "Stats", "Trace"}
    found = [
        f"{path.name}: {ast.unparse(node)}"
        for path in modules()
        for node in facts_of(path).imports
        if writers & set(ast.unparse(node).replace(".", " ").replace(",", " ").split())
    ]
    assert sorted(found) == [
        "delivery.py: from oauth_taskflow.taskflow import metrics",
        "endpoint_task.py: from oauth_taskflow.taskflow.metrics import refreshes",
        "metrics.py: from airflow.observability import stats as core",
        "metrics.py: from airflow.sdk.observability import stats as sdk",
        "sessions.py: from oauth_taskflow.taskflow import metrics",
    ]


@pytest.mark.airflow
def test_the_public_names_are_these_and_all_resolve() -> None:
    assert sorted(oauth_taskflow.__all__) == PUBLIC
    assert all(getattr(oauth_taskflow, name).__name__ == name for name in PUBLIC)
    assert set(PUBLIC) <= set(dir(oauth_taskflow))
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = oauth_taskflow.nonsense


def error_classes() -> list[type[errors.OAuthTaskflowError]]:
    return [getattr(errors, name) for name in errors.__all__]


def test_every_error_is_exported_documented_and_drawn_in_the_tree() -> None:
    defined = [
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and value.__module__ == errors.__name__
    ]
    assert sorted(errors.__all__) == sorted(defined)
    drawn = errors.__doc__ or ""
    assert [name for name in defined if name not in drawn] == []


@pytest.mark.parametrize("cls", error_classes())
def test_errors_cross_process_borders_whole(cls: type[errors.OAuthTaskflowError]) -> None:
    error = cls.__new__(cls)
    errors.OAuthTaskflowError.__init__(error, "what", where="at x", hint="Do y.", retry_after=2.5)
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is cls
    assert (back.what, back.where, back.hint, back.retry_after) == ("what", "at x", "Do y.", 2.5)


def python_files() -> list[Path]:
    folders = ("oauth_taskflow", "tests", "scripts", "benchmarks", "dag_specs")
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def test_no_file_passes_400_lines_and_no_function_50() -> None:
    files = python_files()
    assert [p for p in files if len(p.read_text().splitlines()) > 400] == []
    found = {path.relative_to(ROOT): facts_of(path).long_functions for path in files}
    assert {path: long for path, long in found.items() if long} == {}


def loaded_modules(module: str, graph: dict[str, set[str]]) -> set[str]:
    """``module`` and every module of ours that it imports, directly or not."""
    found, left = {module}, [module]
    while left:
        new = graph[left.pop()] - found
        found |= new
        left += new
    return found


def test_every_module_that_lets_secrets_in_loads_the_log_masking() -> None:
    names = {path: ".".join(path.relative_to(ROOT).with_suffix("").parts) for path in modules()}
    graph = {names[path]: set(names_imported_by(path)) & {*names.values()} for path in names}
    doors = ("secret_registry.add(", "parse_connection(")
    unmasked = [
        names[path]
        for path in modules()
        if path.is_relative_to(PACKAGE / "taskflow")
        and any(door in path.read_text() for door in doors)
        and "oauth_taskflow.taskflow.log_masking" not in loaded_modules(names[path], graph)
    ]
    assert unmasked == []


def test_the_top_level_of_taskflow_can_be_seen_at_a_glance() -> None:
    rooms = [path.parent for path in (PACKAGE / "taskflow").glob("*/__init__.py")]
    assert len(rooms) + len(list((PACKAGE / "taskflow").glob("*.py"))) <= 25
