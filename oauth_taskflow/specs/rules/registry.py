"""How a rule is written: a function that yields findings, registered under its ID.

The function carries the rule's ID as its name. Its docstring is the rule's page in the manual: the reason, then a bad and a
good snippet.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from inspect import cleandoc
from operator import attrgetter
from typing import Any, Generic, TypeVar

from msgspec import structs

from oauth_taskflow.api.paginators.base import Flaw
from oauth_taskflow.destinations import AnyDestination
from oauth_taskflow.specs.model import DagSpec, Endpoint, ForEachOptions, Spec
from oauth_taskflow.specs.problem import Finding, Level, YamlPath
from oauth_taskflow.specs.request import FirstRun
from oauth_taskflow.specs.template_names import PARAM_TEMPLATE
from oauth_taskflow.templates.names import PAGE
from oauth_taskflow.templates.references import (
    Template,
    braced_texts,
    find_page_names,
    find_sent_bounds,
    parse_template,
)

_OWN_NAME = re.compile(r"\{\{\s*(endpoint|dag_id)\s*\}\}")
Findings = Iterator[Finding]
FIRST_RUN_KEYS = frozenset(FirstRun.__struct_fields__)
FIRST_RUN: YamlPath = ("incremental", "first_run")
"""Where an endpoint says what differs in its first run."""
# Keys of texts for people, which may hold any language and name things rather than hold them.
PROSE_KEYS = frozenset({"description", "doc_md", "message"})


@dataclass(frozen=True)
class Rule:
    """A rule's ID, whether breaking it is an error, its page in the manual, and the module it lives in.

    ``about`` are the keys of an endpoint, dotted below its top level, without all of which the rule finds nothing: it
    does not run where each of them has its default.
    """

    id: str
    level: Level
    manual: str
    module: str
    about: tuple[str, ...] = ()


Value = TypeVar("Value")


class computed(Generic[Value]):  # noqa: N801 - read as a decorator, like property
    """As ``functools.cached_property``, without the lock that this has before Python 3.12: a third of the rules' time."""

    def __init__(self, compute: Callable[[Any], Value]) -> None:
        self.compute = compute
        self.__doc__ = compute.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        """Notes the name under which the value is kept."""
        self.name = name

    def __get__(self, view: Any, owner: type | None = None) -> Value:
        """Computes the value; later reads find it among the attributes of ``view`` and do not come here."""
        value = self.compute(view)
        view.__dict__[self.name] = value
        return value


class EndpointView:
    """One merged endpoint, as rules look at it. Paths of findings are relative to the endpoint."""

    def __init__(self, spec: Spec, name: str, endpoint: Endpoint, raw: dict[str, Any]) -> None:
        self.spec = spec
        self.source: DagSpec = spec.source
        self.siblings = spec.endpoints
        self.name = name
        self.endpoint = endpoint
        self.raw = raw

    @computed
    def parents(self) -> dict[str, tuple[str, YamlPath]]:
        """Each ``for_each`` variable that takes a parent's records: the parent's name and its path."""
        found: dict[str, tuple[str, YamlPath]] = {}
        for variable, over in self.endpoint.for_each.items():
            if isinstance(over, str):
                found[variable] = over, ("for_each", variable)
            elif isinstance(over, ForEachOptions) and over.endpoint is not None:
                found[variable] = over.endpoint, ("for_each", variable, "endpoint")
        return found

    @computed
    def lists(self) -> dict[str, tuple[list[str | int | float | bool], YamlPath]]:
        """Each ``for_each`` variable that takes the values of a list: the list and its path."""
        found: dict[str, tuple[list[str | int | float | bool], YamlPath]] = {}
        for variable, over in self.endpoint.for_each.items():
            if isinstance(over, list):
                found[variable] = over, ("for_each", variable)
            elif isinstance(over, ForEachOptions) and over.values is not None:
                found[variable] = over.values, ("for_each", variable, "values")
        return found

    @computed
    def request_texts(self) -> list[tuple[YamlPath, str]]:
        """Every text of the request with braces in it, and its path."""
        return list(braced_texts(self.raw.get("request", {}), ("request",)))

    @computed
    def request_templates(self) -> list[tuple[YamlPath, Template]]:
        """The path of each template of the request, and the names it refers to."""
        texts = self.request_texts
        if self.endpoint.rate_limit is not None:
            texts = [*texts, *self._weights()]
        return [(path, parse_template(text)) for path, text in texts if "{" in text]

    def _weights(self) -> Iterator[tuple[YamlPath, str]]:
        """The texts of the weights in ``rate_limit``."""
        limits = self.raw.get("rate_limit")
        for at, limit in enumerate(limits) if isinstance(limits, list) else [(None, limits or {})]:
            path = ("rate_limit",) if at is None else ("rate_limit", at)
            if isinstance(limit.get("weight"), str):
                yield (*path, "weight"), limit["weight"]

    @computed
    def field_templates(self) -> list[tuple[YamlPath, Template]]:
        """The path of each template of ``fields.set``, and the names it refers to."""
        values = self.endpoint.fields.set.items() if self.endpoint.fields is not None else ()
        return [
            (("fields", "set", name), parse_template(value))
            for name, value in values
            if isinstance(value, str) and "{" in value
        ]

    @computed
    def destinations(self) -> list[tuple[YamlPath, AnyDestination]]:
        """The path of each destination, and its options."""
        one, several = self.endpoint.destination, self.endpoint.destinations
        first: list[tuple[YamlPath, AnyDestination]] = (
            [] if one is None else [(("destination",), one)]
        )
        return first + [(("destinations", at), each) for at, each in enumerate(several)]

    @computed
    def folders_and_tables(self) -> list[tuple[YamlPath, AnyDestination]]:
        """The destinations, and the folder for rejected records."""
        options = self.endpoint.quarantine
        folder = None if options is None else options.folder
        return self.destinations + ([] if folder is None else [(("quarantine",), folder)])

    @computed
    def destination_texts(self) -> list[tuple[YamlPath, str]]:
        """The path of each template of the destinations, and its text."""
        return [
            ((*path, key), text)
            for path, options in self.folders_and_tables
            for key, text in options.templates().items()
        ]

    @computed
    def destination_templates(self) -> list[tuple[YamlPath, Template]]:
        """The path of each template of the destinations, and the names it refers to."""
        return [(path, parse_template(text)) for path, text in self.destination_texts]

    @computed
    def destination_places(self) -> list[tuple[str, YamlPath]]:
        """The address of each destination with the names that are known now filled in, for comparing, and its path."""
        own = {"endpoint": self.name, "dag_id": self.source.dag_id}
        params, places = self.source.params, []
        for path, options in self.folders_and_tables:
            place = options.address
            if place is None:
                continue
            if "{" in place:
                place = _OWN_NAME.sub(lambda match: own[match[1]], place)
                place = PARAM_TEMPLATE.sub(lambda match: str(params.get(match[1], match[0])), place)
            place = "".join(place.split()).rstrip("/")
            where = ("endpoints", self.name, *path, next(iter(options.templates()), "path"))
            places.append((f"{options.__struct_config__.tag}:{place}", where))
        return places

    @computed
    def first_run(self) -> EndpointView | None:
        """The endpoint as it is in its first run, if that differs."""
        incremental, raw = self.endpoint.incremental, self.raw.get("incremental", {})
        first = incremental.first_run if incremental is not None else None
        if incremental is None or first is None:
            return None
        endpoint = structs.replace(
            self.endpoint,
            request=first.request,
            records=first.records,
            paginate=first.paginate,
            incremental=structs.replace(incremental, first_run=None),
        )
        parts = {name: value for name, value in self.raw.items() if name not in FIRST_RUN_KEYS}
        return EndpointView(self.spec, self.name, endpoint, {**parts, **raw["first_run"]})

    @computed
    def sent_bounds(self) -> set[str]:
        """Which bounds of the window the request sends: ``start``, ``end``, both or none."""
        return find_sent_bounds(
            r for _, template in self.request_templates for r in template.references
        )

    @computed
    def paginator_flaws(self) -> list[Flaw]:
        """Flaws that the paginator finds in its options."""
        paginate = self.endpoint.paginate
        if paginate is None:
            return []
        return [*paginate.flaws(self.raw["paginate"]), *paginate.common_flaws()]

    @computed
    def page_names(self) -> frozenset[str]:
        """The values of a page that the paginator has for templates."""
        paginate = self.endpoint.paginate
        return frozenset() if paginate is None else paginate.page_names

    @computed
    def placed_names(self) -> frozenset[str]:
        """Those of them that templates of the request place; none where a variable of that name hides them."""
        if PAGE in self.endpoint.for_each:
            return frozenset()
        references = (r for _, template in self.request_templates for r in template.references)
        return find_page_names(references) & self.page_names

    @computed
    def references(self) -> frozenset[tuple[str, str]]:
        """Every name the endpoint's templates refer to, with the attribute taken from it (or empty text)."""
        templates = [*self.request_templates, *self.destination_templates]
        return frozenset(pair for _, template in templates for pair in template.references)

    @computed
    def field_references(self) -> frozenset[tuple[str, str]]:
        """The same for the templates of ``fields.set``, which are not sent."""
        return frozenset(r for _, template in self.field_templates for r in template.references)

    @computed
    def names_used(self) -> frozenset[str]:
        """Every name the endpoint's templates refer to."""
        return frozenset(name for name, _ in self.references)


class SpecView:
    """One checked spec, as rules look at it. Paths of findings begin at the top of the file."""

    def __init__(self, spec: Spec, raw: dict[str, Any], text: str) -> None:
        self.spec = spec
        self.source = spec.source
        self.raw = raw
        self.text = text
        self.endpoints = [
            EndpointView(spec, name, endpoint, raw["endpoints"][name])
            for name, endpoint in spec.endpoints.items()
        ]


EndpointCheck = Callable[[EndpointView], Findings]
SpecCheck = Callable[[SpecView], Findings]
FilesCheck = Callable[[Sequence[SpecView]], Iterator[tuple[SpecView, Finding]]]

ENDPOINT_RULES: list[tuple[Rule, EndpointCheck]] = []
SPEC_RULES: list[tuple[Rule, SpecCheck]] = []
FILES_RULES: list[tuple[Rule, FilesCheck]] = []


SECTIONS: dict[str, Any] = {}
"""The keys of an endpoint that rules are about, dotted below its top level, with their defaults."""


def _rule(
    check: Callable[..., Any], rule_id: str, level: Level, about: tuple[str, ...] = ()
) -> Rule:
    return Rule(rule_id, level, cleandoc(check.__doc__ or ""), check.__module__, about)


def endpoint_rule(
    rule_id: str, level: Level = "error", *, about: str | tuple[str, ...] = ()
) -> Callable[[EndpointCheck], EndpointCheck]:
    """Register a rule that looks at one endpoint; with ``about``, only at endpoints that have this key, or one of these.

    A rule about a key that most endpoints do without names it here: the other endpoints do not pay for the rule.

    Raises:
        AttributeError: an endpoint has no such key.
    """
    keys = (about,) if isinstance(about, str) else about
    SECTIONS.update({key: attrgetter(key)(Endpoint()) for key in keys})

    def register(check: EndpointCheck) -> EndpointCheck:
        ENDPOINT_RULES.append((_rule(check, rule_id, level, keys), check))
        return check

    return register


def spec_rule(rule_id: str, level: Level = "error") -> Callable[[SpecCheck], SpecCheck]:
    """Register a rule that looks at one spec as a whole."""

    def register(check: SpecCheck) -> SpecCheck:
        SPEC_RULES.append((_rule(check, rule_id, level), check))
        return check

    return register


def files_rule(rule_id: str, level: Level = "error") -> Callable[[FilesCheck], FilesCheck]:
    """Register a rule that looks at several specs together.

    It looks at ``source``, ``spec`` and the models of the endpoints only: views of specs from a cache have no ``raw`` data.
    """

    def register(check: FilesCheck) -> FilesCheck:
        FILES_RULES.append((_rule(check, rule_id, level), check))
        return check

    return register
