from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.specs.check import check_file, check_paths, check_text
from oauth_taskflow.specs.files import spec_files
from oauth_taskflow.specs.schema_errors import schema_findings
from tests.support.file_modes import without_overrides

HERE = Path(__file__).parent
README = (HERE / "valid" / "readme.yaml").read_text(encoding="utf-8")
TEXTS = [path.read_text(encoding="utf-8") for path in sorted(HERE.glob("*alid/*.yaml"))]


def spec(dag_id: str, path: str = "/data/{{ dag_id }}/{{ endpoint }}") -> str:
    return (
        f"version: 1\ndag_id: {dag_id}\nconnection: crm\n"
        f'defaults: {{destination: {{path: "{path}"}}}}\n'
        "endpoints:\n  a: {request: {path: /a}}\n"
    )


def test_a_checked_spec_holds_the_merged_endpoints_in_file_order() -> None:
    checked = check_text(README, "crm.yaml")
    assert checked.problems == ()
    assert checked.spec is not None
    assert checked.spec.path == "crm.yaml"
    assert checked.spec.source.dag_id == "crm"
    assert list(checked.spec.endpoints) == ["contacts", "notes", "deals"]
    contacts = checked.spec.endpoints["contacts"].request
    window = {"updated_since": "{{ window.start }}", "updated_before": "{{ window.end }}"}
    assert contacts.params == {"limit": 200, **window}
    assert contacts.headers == {"Accept": "application/json"}


def test_the_order_puts_parents_first_and_survives_cycles() -> None:
    text = spec("x") + (
        '  c: {for_each: {r: d}, request: {path: "/{{ r.id }}"}}\n'
        '  d: {for_each: {r: {endpoint: b}}, request: {path: "/{{ r.id }}"}}\n'
        "  b: {request: {path: /b}}\n"
    )
    checked = check_text(text)
    assert checked.spec is not None
    assert checked.spec.order == ("a", "b", "d", "c")
    cycle = check_text(text.replace("b: {request", "b: {for_each: {r: c}, request"))
    assert cycle.spec is None
    assert cycle.view is not None
    assert cycle.view.spec.order == ("a", "c", "d", "b")


def test_a_problem_prints_as_one_line() -> None:
    (problem,) = check_text(spec("x").replace("/a}", "/a, pat: 1}"), "dir/x.yaml").problems
    assert str(problem) == (
        "dir/x.yaml:6:27: error: endpoints.a.request.pat: unknown key 'pat'. "
        "Did you mean 'path'? Allowed: base_url, form, headers, json, method, params, path, url. [unknown-key]"
    )


def test_a_problem_of_the_defaults_names_the_endpoints_that_take_it() -> None:
    text = (
        "version: 1\ndag_id: a\nconnection: c\n"
        "defaults: {destination: {path: '/x/{{ endpoint }}'}, paginate: {type: cursor, next: n, body: c}}\n"
        "endpoints:\n"
        "  posted: {request: {path: /p, method: POST}}\n"
        + "".join(f"  got{number}: {{request: {{path: /g}}}}\n" for number in range(5))
    )
    (problem,) = check_text(text, "a.yaml").problems
    assert problem.endpoints == tuple(f"got{number}" for number in range(5))
    assert str(problem) == (
        "a.yaml:4:94: error: defaults.paginate.body (in got0, got1, got2 and 2 more): a GET request has no body to "
        "page by. Write method: POST. [paginator-contradiction]"
    )


def test_a_warning_leaves_the_spec_usable() -> None:
    checked = check_text(spec("x") + "params: {unused: 1}\n")
    assert [problem.rule for problem in checked.problems] == ["unused-param"]
    assert not checked.problems[0].is_error
    assert checked.spec is not None


def test_an_error_that_json_schema_cannot_express_is_still_a_problem() -> None:
    document = {
        "version": 1,
        "dag_id": "x",
        "endpoints": {"a": {"checks": {"max_change": 10**400}}},
    }
    ((rule, finding),) = schema_findings(document)
    assert (rule, finding.message) == (
        "out-of-range",
        "Number out of range - at `$.endpoints[...].checks.max_change`",
    )


def test_a_valid_document_is_not_refused() -> None:
    ((_, finding),) = schema_findings({"version": 1, "dag_id": "x", "endpoints": {"a": {}}})
    assert finding.message == ""


def test_problems_come_in_file_order() -> None:
    text = (
        "version: 2\ndag_id: 'a b'\nendpoints:\n  x: {records: [], timeout: -1}\nzzz: 1\nconnection: c\n"
        'defaults: {request: {path: /x}, destination: {path: "/data/{{ endpoint }}"}}\n'
    )
    problems = check_text(text).problems
    assert [(p.line, p.rule) for p in problems] == [
        (1, "not-allowed"),
        (2, "bad-text"),
        (4, "wrong-type"),
        (4, "out-of-range"),
        (5, "unknown-key"),
    ]


def test_one_round_shows_schema_errors_and_broken_rules() -> None:
    text = spec("x") + (
        "  bad: {request: {path: /b}, recrods: data}\n"
        '  child: {for_each: {r: bad}, request: {path: "/{{ typo }}"}}\n'
        '  grandchild: {for_each: {r: child}, request: {path: "/{{ typo }}"}}\n'
        '  good: {request: {path: "/{{ typo }}"}}\n'
        "tgas: [crm]\nparams: {used_by_bad_perhaps: 1}\nschedule: 61 * * * *\n"
    )
    checked = check_text(text)
    assert checked.spec is None
    assert [(p.where, p.rule) for p in checked.problems] == [
        ("endpoints.bad.recrods", "unknown-key"),
        ("endpoints.child.for_each.r", "unused-variable"),
        ("endpoints.child.request.path", "undefined-template-name"),
        ("endpoints.grandchild.for_each.r", "unused-variable"),
        ("endpoints.grandchild.request.path", "undefined-template-name"),
        ("endpoints.good.request.path", "undefined-template-name"),
        ("tgas", "unknown-key"),
        ("schedule", "bad-cron"),
    ]


@pytest.mark.parametrize(
    "broken",
    ["catchup: 3\n", "defaults: {timeout: -1}\n", "dag_id: 7\n", "version: 1.0\n", "tgas: 1\n"],
)
def test_a_schema_error_anywhere_hides_no_broken_rule(broken: str) -> None:
    lines = {
        "version": "version: 1\n",
        "dag_id": "dag_id: x\n",
        "schedule": "schedule: 61 * * * *\n",
        "endpoints": "endpoints: {a: {request: {path: '/{{ typo }}'}}}\n",
    }
    key = broken.partition(":")[0]
    rules = [p.rule for p in check_text("".join({**lines, key: broken}.values())).problems]
    assert {"undefined-template-name", "bad-cron"} <= set(rules)
    assert {"wrong-type", "out-of-range", "not-allowed", "unknown-key"} & set(rules)


@pytest.mark.parametrize(
    ("endpoint", "rules"),
    [
        ("{recrods: x, request: {path: /a/:id}}", ["unknown-key", "bad-path"]),
        (
            '{request: {path: "/{{ nope }}"}, concurrency: [many], records: "x["}',
            ["undefined-template-name", "wrong-type", "bad-jmespath"],
        ),
        ('{request: {path: 5}, records: "x["}', ["wrong-type", "bad-jmespath"]),
        (
            "{request: {path: /a}, responses: [{status: 4, action: skip}, {action: skip}]}",
            ["out-of-range", "rule-without-condition"],
        ),
        (
            "{request: {path: /a}, paginate: {type: page, size: lots, size_param: n}, timeout: -1}",
            ["wrong-type", "out-of-range"],
        ),
        (
            '{request: {path: "/{{ window.start }}"}, incremental: {feild: t, start: 2024-02-31}}',
            ["unknown-key", "bad-date"],
        ),
    ],
)
def test_a_schema_error_hides_no_broken_rule_of_its_endpoint(
    endpoint: str, rules: list[str]
) -> None:
    top = spec("x").replace("defaults:", 'schedule: "@daily"\ndefaults:')
    text = f"{top}  b: {endpoint}\n"
    assert [p.rule for p in check_text(text).problems] == rules


@pytest.mark.parametrize(
    "endpoint",
    [
        "{for_each: {x: 5}, request: {path: '/{{ x.id }}'}}",
        "{for_each: {x: {endpiont: a}}, request: {path: '/{{ x.id }}'}}",
        "{incremental: 5, request: {path: '/{{ window.start }}'}}",
        "{for_each: {x: a}, request: ['/{{ x.id }}']}",
        "{for_each: {x: a}, request: {path: /b, params: 5}}",
        "{for_each: 5, request: {path: '/{{ x.id }}'}}",
        "{paginate: {tpye: page, size: 1}, request: {path: /b}}",
        "{paginate: {type: pge, size: 1}, request: {path: /b}}",
        "{paginate: {type: cursor, next: 5, param: c}, request: {path: /b}}",
        "{request: 5}",
        "5",
    ],
)
def test_a_finding_that_a_broken_value_may_explain_is_left_out(endpoint: str) -> None:
    problems = check_text(f"{spec('x')}  b: {endpoint}\n").problems
    assert {p.rule for p in problems} <= {"wrong-type", "unknown-key", "missing-key", "not-allowed"}


def test_a_value_under_a_secret_name_is_not_repeated() -> None:
    text = spec("x").replace("/a}", "/a, headers: {Authorization: [hunter2, 1]}}")
    problems = check_text(text).problems
    assert [p.rule for p in problems] == ["wrong-type"]
    assert "hunter2" not in str(problems)


def test_long_values_are_cut_in_messages() -> None:
    (problem,) = check_text(spec("x " * 100)).problems
    assert len(problem.message) < 100


def test_a_folder_is_searched_for_yaml_in_a_stable_order(tmp_path: Path) -> None:
    for name in ("b.yaml", "sub/c.yml", "a.yaml", ".hidden/d.yaml", ".e.yaml", "note.txt"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(spec(file.stem), encoding="utf-8")
    expected = [tmp_path / name for name in ("a.yaml", "b.yaml", "sub/c.yml")]
    assert [*map(Path, spec_files([tmp_path, tmp_path / "a.yaml"]))] == expected
    checked = check_paths([tmp_path])
    assert [each.path for each in checked] == list(map(str, expected))
    assert all(each.spec is not None for each in checked)


def test_two_files_with_one_dag_id_are_refused(tmp_path: Path) -> None:
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    first.write_text(spec("crm"), encoding="utf-8")
    second.write_text(spec("crm", path="/other/{{ endpoint }}"), encoding="utf-8")
    clean, refused = check_paths([tmp_path])
    assert clean.problems == ()
    assert refused.spec is None
    assert list(map(str, refused.problems)) == [
        f"{second}:2:9: error: dag_id: the dag_id 'crm' is already used in {first}. "
        "Choose another dag_id. [duplicate-dag-id]"
    ]


def test_two_files_that_write_to_one_folder_are_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text(spec(name, "/data/{{ endpoint }}"), encoding="utf-8")
    (_, refused) = check_paths([tmp_path])
    assert list(map(str, refused.problems)) == [
        f"{tmp_path / 'b.yaml'}:4:32: error: defaults.destination.path: endpoint 'a' writes to the "
        f'same folder as {tmp_path / "a.yaml"}. Put "{{{{ dag_id }}}}" into the path. '
        "[destination-collision]"
    ]


def test_a_spec_without_destination_collides_with_nothing(tmp_path: Path) -> None:
    for name in ("a", "b"):
        text = spec(name).replace("defaults:", "doc_md: x #")
        (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
    rules = [p.rule for each in check_paths([tmp_path]) for p in each.problems]
    assert rules == ["destination-missing", "destination-missing"]


def test_a_broken_file_leaves_the_others(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("version: [", encoding="utf-8")
    (tmp_path / "b.yaml").write_text(spec("b"), encoding="utf-8")
    broken, good = check_paths([tmp_path])
    assert broken.spec is None
    assert good.spec is not None


def test_a_file_that_is_not_utf8_is_named_with_the_place(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_bytes("version: 1\ndag_id: kä".encode("latin-1"))
    (problem,) = check_file(file).problems
    assert (problem.line, problem.col, problem.rule) == (2, 10, "yaml-syntax")
    assert problem.message == "the file is not UTF-8"


def test_a_utf8_file_with_byte_order_mark_is_read(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(spec("a"), encoding="utf-8-sig")
    assert check_file(str(file)).problems == ()


def test_a_missing_file_is_a_problem(tmp_path: Path) -> None:
    missing = tmp_path / "none.yaml"
    (checked,) = check_paths([missing])
    assert list(map(str, checked.problems)) == [
        f"{missing}:1:1: error: cannot be read: No such file or directory. [unreadable-file]"
    ]


def test_a_folder_that_cannot_be_listed_is_a_problem(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    with without_overrides():
        (checked,) = check_paths([tmp_path])
    assert [problem.rule for problem in checked.problems] == ["unreadable-file"]


@pytest.mark.slow
@given(st.data())
def test_any_cut_and_joined_text_gives_problems_or_a_model(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(TEXTS))
    begin = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(begin, len(text)))
    patch = data.draw(
        st.text(max_size=5) | st.sampled_from(["null", "[", "{}", "&a *a", "{{ x }}"])
    )
    checked = check_text(text[:begin] + patch + text[end:], "x.yaml")
    assert (checked.spec is None) == any(problem.is_error for problem in checked.problems)
    assert all(p.line >= 1 and p.col >= 1 and p.message for p in checked.problems)
    assert all("\n" not in str(p) for p in checked.problems)


def test_checking_a_good_spec_loads_none_of_the_heavy_libraries() -> None:
    code = (
        "import sys; from oauth_taskflow.specs.check import check_file;"
        f"assert not check_file({str(HERE / 'valid' / 'readme.yaml')!r}).problems;"
        "heavy = {'jsonschema', 'croniter', 'pendulum', 'jinja2', 'jmespath', 'requests', 'airflow'};"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.strip()) == (0, "")


def test_a_line_break_in_a_key_does_not_break_the_line_of_its_problem() -> None:
    text = spec("x").replace("/a}", '/a}, rate_limit: {"\\n": null}')
    assert all("\n" not in str(problem) for problem in check_text(text).problems)
    assert any("rate_limit.\\n" in problem.where for problem in check_text(text).problems)
