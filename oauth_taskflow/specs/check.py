"""From a file to a checked spec: syntax, shape and rules together, all problems in file order."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from oauth_taskflow.specs.cache import SpecCache
from oauth_taskflow.specs.defaults import merge_defaults
from oauth_taskflow.specs.files import spec_files
from oauth_taskflow.specs.model import DagSpec, Endpoint, Spec
from oauth_taskflow.specs.partial_check import Part, find_affected_endpoints, valid_parts
from oauth_taskflow.specs.problem import Finding, Level, Problem, YamlPath, path_text
from oauth_taskflow.specs.rules import files_findings, spec_findings
from oauth_taskflow.specs.rules.registry import FIRST_RUN, Rule, SpecView
from oauth_taskflow.specs.schema_errors import schema_findings, to_model
from oauth_taskflow.specs.spec_file import Unreadable, read_spec
from oauth_taskflow.specs.yaml_reader import MAX_NODES, Document, load_text

# A file with more problems is probably not a spec, and each one costs time to explain.
MAX_PROBLEMS = 500
# The keys that hold templates: while they are broken, they may use any name.
_USING = frozenset({"", "request", "destination", "destinations", "for_each"})


@dataclass(frozen=True)
class CheckedSpec:
    """One file after the check. ``spec`` is missing when a problem is an error; warnings leave it usable.

    ``known`` are the contents of a file that a cache knew; ``view`` and ``document`` are made of them where they are needed.
    """

    path: str
    spec: Spec | None
    problems: tuple[Problem, ...]
    view: SpecView | None = field(default=None, repr=False, compare=False)
    document: Document | None = field(default=None, repr=False, compare=False)
    known: bytes | None = field(default=None, repr=False, compare=False)

    @property
    def dag_id(self) -> str:
        """The ``dag_id`` of the file, empty where it cannot be known."""
        if self.spec is not None:
            return self.spec.source.dag_id
        return self.view.source.dag_id if self.view is not None else ""


def check_text(text: str, path: str = "<text>") -> CheckedSpec:
    """Check one spec; ``path`` is only what problems are reported under. Never raises for what the text says."""
    document = load_text(text, path)
    if document.data is None:
        nothing = document.problems or [_root_problem(path, "nothing")]
        return CheckedSpec(path, None, tuple(nothing))
    if not isinstance(document.data, dict):
        kind = "a list" if isinstance(document.data, list) else "a single value"
        return CheckedSpec(path, None, (*document.problems, _root_problem(path, kind)))
    too_big = _too_big(document.data)
    if too_big is not None:
        problem = _problem(document, path, "error", "yaml-too-big", too_big)
        return CheckedSpec(path, None, _in_order([*document.problems, problem]))
    raw = merge_defaults(document.data)
    source = to_model(raw)
    if source is None:
        shape = list(islice(schema_findings(raw), MAX_PROBLEMS))
        found = [_problem(document, path, "error", *item) for item in shape]
        found += _problems_beside(shape, raw, document, path)
        return CheckedSpec(path, None, _in_order([*document.problems, *found]))
    view = _view(source, raw, document, path)
    found = [
        _problem(document, path, rule.level, rule.id, finding)
        for rule, finding in islice(spec_findings(view), MAX_PROBLEMS)
    ]
    problems = _in_order([*document.problems, *found])
    usable = not any(problem.is_error for problem in problems)
    return CheckedSpec(path, view.spec if usable else None, problems, view, document)


def _too_big(data: dict[str, Any]) -> Finding | None:
    """Refuse defaults that, repeated under each endpoint, would take more than a few seconds to check."""
    endpoints = data.get("endpoints")
    if not isinstance(endpoints, dict):
        return None
    size = _size(data.get("defaults")) * len(endpoints)
    if size <= 2 * MAX_NODES:
        return None
    message = f"the defaults under {len(endpoints)} endpoints make {size} values"
    return Finding(("endpoints",), message, "Split it into several files.", at_key=True)


def _size(value: Any) -> int:
    children = (
        value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    )
    return 1 + sum(map(_size, children))


def _view(source: DagSpec, raw: dict[str, Any], document: Document, path: str) -> SpecView:
    return SpecView(_spec(source, path), raw, document.text)


def _spec(source: DagSpec, path: str) -> Spec:
    endpoints = {name: each or Endpoint() for name, each in source.endpoints.items()}
    return Spec(source=source, path=path, endpoints=endpoints)


def _problems_beside(
    shape: list[tuple[str, Finding]], raw: dict[str, Any], document: Document, path: str
) -> list[Problem]:
    """Find the problems that do not depend on the values with schema errors."""
    found: list[dict[tuple[Rule, Finding], None]] = []
    for part in valid_parts(raw, shape):
        view = _view(part.source, part.data, document, path)
        unsure = find_affected_endpoints(view, part.emptied)
        findings = islice(spec_findings(view), MAX_PROBLEMS)
        found.append({each: None for each in findings if _is_certain(*each, part, unsure)})
    if len(found) != 2:
        return []
    return [
        _problem(document, path, rule.level, rule.id, finding)
        for rule, finding in found[0]
        if (rule, finding) in found[1]
    ]


def _is_certain(rule: Rule, finding: Finding, part: Part, unsure: frozenset[str]) -> bool:
    match finding.path:
        case ("endpoints", str(name), *_):
            # The names that a broken request or list uses are unknown, so the rules call nothing unused.
            blind = rule.level == "warning" and part.broken.get(name, set()) & _USING
            unnamed = rule.id == "undefined-template-name" and part.nameless & {name, ""}
            return not (name in unsure or blind or unnamed)
        case _:
            # The broken rest of the file may use a param that the sound part does not: such a warning may be wrong.
            return rule.level == "error"


def check_file(path: str | Path, cache: SpecCache | None = None) -> CheckedSpec:
    """Check the spec in one file; a file that cannot be read is a problem, too.

    With a ``cache``, a file whose contents were checked before is not parsed again, and keeps no problem but errors.
    """
    shown = str(path)
    try:
        content = read_spec(shown)
        source = cache.find(shown, content) if cache is not None else None
        if source is not None:
            return _recall(source, content, shown)
        text = content.decode("utf-8-sig")
    except Unreadable as error:
        message = f"cannot be read: {error}"
        return CheckedSpec(
            shown, None, (Problem(shown, 1, 1, "error", "", message, "unreadable-file"),)
        )
    except UnicodeDecodeError as error:
        return CheckedSpec(shown, None, (_not_utf8(shown, error),))
    checked = check_text(text, shown)
    if cache is not None and checked.spec is not None:
        cache.keep(shown, content, checked.spec)
    return checked


def _recall(source: DagSpec, content: bytes, path: str) -> CheckedSpec:
    """The check of a file without errors."""
    return CheckedSpec(path, _spec(source, path), (), known=content)


def _complete(checked: CheckedSpec) -> CheckedSpec:
    """``checked`` with its view. The rules that compare files look at the model, so the data is left out."""
    spec = checked.spec
    if checked.known is None or spec is None:
        return checked
    document = Document(checked.known.removeprefix(BOM_UTF8).decode(), {}, [])
    view = SpecView(spec, {"endpoints": {key: {} for key in spec.endpoints}}, document.text)
    return CheckedSpec(checked.path, spec, checked.problems, view, document)


def _check_alone(path: str, cache: SpecCache | None) -> CheckedSpec:
    """As ``check_file``; should the check itself fail, that is a problem of this one file."""
    try:
        return check_file(path, cache)
    except BaseException as error:
        if is_stop(error):
            raise
        return CheckedSpec(path, None, (failure(path, "the check failed", error),))


def is_stop(error: BaseException) -> bool:
    """Whether ``error`` stops the process: Ctrl-C, an exit, or Airflow's time-out, which does not derive from Exception."""
    return isinstance(error, (KeyboardInterrupt, SystemExit, GeneratorExit)) or (
        not isinstance(error, Exception) and "Timeout" in type(error).__name__
    )


def failure(path: str, what: str, error: BaseException) -> Problem:
    """Report an exception as a problem of the whole file."""
    reason = " ".join(str(error).split())[:1000]
    message = (
        f"{what}: {type(error).__name__}: {reason}" if reason else f"{what}: {type(error).__name__}"
    )
    return Problem(path, 1, 1, "error", "", message, "refused")


def check_paths(paths: Iterable[str | Path], cache: SpecCache | None = None) -> list[CheckedSpec]:
    """Check files, and the ``.yaml`` and ``.yml`` files anywhere below folders, also against each other.

    Files come in the order given, those of a folder sorted by name, hidden ones left out; a file named twice is checked
    once. A ``cache`` spares the check of files that had no errors before; their warnings are left out. The files are not
    compared again where all of them are known, and had no problem with each other.
    """
    return check_files(spec_files(paths), cache)


def check_files(files: Iterable[str], cache: SpecCache | None = None) -> list[CheckedSpec]:
    """Check ``files`` as ``check_paths`` does; no folders are among them."""
    checked = [_check_alone(path, cache) for path in files]
    if cache is not None and cache.are_compared(len(checked)):
        return checked
    checked = [_complete(each) for each in checked]
    views = [each.view for each in checked if each.view is not None]
    found: dict[str, list[Problem]] = {}
    documents = {each.path: each.document for each in checked}
    for view, rule, finding in files_findings(views):
        path = view.spec.path
        document = documents[path]
        assert document is not None
        found.setdefault(path, []).append(_problem(document, path, rule.level, rule.id, finding))
    if cache is not None and not found:
        cache.note_compared(len(checked))
    return [_with(each, found.get(each.path, [])) for each in checked]


def _with(checked: CheckedSpec, more: list[Problem]) -> CheckedSpec:
    if not more:
        return checked
    problems = _in_order([*checked.problems, *more])
    usable = not any(problem.is_error for problem in problems)
    spec = checked.spec if usable else None
    return CheckedSpec(checked.path, spec, problems, checked.view, checked.document)


def _in_order(problems: list[Problem]) -> tuple[Problem, ...]:
    # A problem in the defaults shows up once per endpoint that inherits it: once is enough, with the names of all.
    named: dict[Problem, dict[str, None]] = {}
    for problem in problems:
        named.setdefault(replace(problem, endpoints=()), {}).update(
            dict.fromkeys(problem.endpoints)
        )
    return tuple(
        sorted(replace(problem, endpoints=tuple(names)) for problem, names in named.items())
    )


def _root_problem(path: str, kind: str) -> Problem:
    message = f"expected a mapping, got {kind}"
    hint = "A spec begins with version: 1, dag_id: and endpoints:."
    return Problem(path, 1, 1, "error", "", message, "wrong-type", hint)


def _not_utf8(path: str, error: UnicodeDecodeError) -> Problem:
    before: bytes = error.object[: error.start]
    line = before.count(b"\n") + 1
    col = len(before.rpartition(b"\n")[2].decode("utf-8", "replace")) + 1
    hint = "Save the file as UTF-8."
    return Problem(path, line, col, "error", "", "the file is not UTF-8", "yaml-syntax", hint)


def _problem(document: Document, path: str, level: Level, rule: str, finding: Finding) -> Problem:
    where, (line, col) = _locate(document, finding)
    name = str(finding.path[1]) if where[:1] == ("defaults",) != finding.path[:1] else ""
    return Problem(
        *(path, line, col, level, path_text(where)),
        *(finding.message, rule, finding.hint),
        endpoints=(name,) if name and f"endpoint {name!r}" not in finding.message else (),
    )


def _locate(document: Document, finding: Finding) -> tuple[YamlPath, tuple[int, int]]:
    """Return the place of the value, in the endpoint or in the defaults, or of the nearest part of the file around it."""
    path, place, found = finding.path, document.find(finding.path), 0
    for other, above in _origins(finding.path):
        candidate = document.find(other)
        # Depths count the parts before the option: two for an endpoint, one for "defaults".
        if candidate.depth - above > found:
            path, place, found = other, candidate, candidate.depth - above
    wants_key = finding.at_key and place.depth == len(path)
    return path, place.key if wants_key else place.value


def _origins(path: YamlPath) -> Iterator[tuple[YamlPath, int]]:
    """Yield each path at which a value of an endpoint may be written, and how many of its parts come before the option."""
    if len(path) <= 2 or path[0] != "endpoints":
        return
    own = path[2:]
    rest = own[len(FIRST_RUN) :] if own[: len(FIRST_RUN)] == FIRST_RUN else ()
    extra = len(FIRST_RUN) if rest else 0
    yield path, 2 + extra
    yield ("defaults", *own), 1 + extra
    if rest:
        yield (*path[:2], *rest), 2
        yield ("defaults", *rest), 1
