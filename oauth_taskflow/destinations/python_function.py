"""The ``python`` destination: a function of the author's own takes the records (docs/python-destination.md)."""

from __future__ import annotations

import importlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import GeneratorType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol

import msgspec

from oauth_taskflow.api.decoders.numbers import decode
from oauth_taskflow.destinations.base import (
    NO_FACTS,
    Description,
    EndpointFacts,
    ManifestPlace,
    Output,
    Part,
    Run,
    StoreAccess,
    TemplateRenderer,
)
from oauth_taskflow.destinations.requirements import Requirement
from oauth_taskflow.errors import ApiError, DestinationError, OAuthTaskflowError
from oauth_taskflow.redaction import redact_text
from oauth_taskflow.schema.types import Count, DottedPath, Options, doc

if TYPE_CHECKING:
    from oauth_taskflow.destinations.arrow.converter import TableBuilder
    from oauth_taskflow.destinations.transfer import TransferSummary

_log = logging.getLogger(__name__)
_DAG_ID, _ENDPOINT = "{{ dag_id | default('') }}", "{{ endpoint }}"


class PythonDestination(Options, frozen=True, kw_only=True, tag_field="type", tag="python"):
    """A function of your own, which gets batches of records and the commit (docs/python-destination.md)."""

    function: Annotated[
        DottedPath | None,
        doc("Dotted path of the function or class, imported when a task runs.", "mypkg.sinks.load"),
    ] = None
    batch: Annotated[
        Literal["records", "arrow"],
        doc("What a batch is: a list of decoded records, or a pyarrow.RecordBatch.", "arrow"),
    ] = "records"
    size: Annotated[Count, doc("Most records of a batch.", 5000)] = 1000
    options: Annotated[
        Mapping[str, Any], doc("Values for the function, as run.options.", {"table": "contacts"})
    ] = {}

    @property
    def address(self) -> str | None:
        """The function with its options, for each endpoint: it knows for which one it is called."""
        options = json.dumps(self.options, sort_keys=True, default=str)
        return self.function and f"{self.function}|{options}|{{{{ dag_id }}}}/{{{{ endpoint }}}}"

    def requirements(self) -> Iterator[Requirement]:
        """Yields pyarrow for batches of Arrow."""
        if self.batch == "arrow":
            yield Requirement("pyarrow", "parquet")

    def templates(self) -> dict[str, str]:
        """Returns nothing: options are handed on as they are."""
        return {}

    def locate(self, render: TemplateRenderer, run_id: str) -> str:
        """Returns DAG, endpoint and run as JSON: the function knows where their records go."""
        return json.dumps([render(_DAG_ID), render(_ENDPOINT), run_id])

    def connect(
        self,
        location: str,
        access: StoreAccess,
        facts: EndpointFacts = NO_FACTS,
    ) -> FunctionDestination:
        """Returns the destination, which imports the function when it is opened."""
        return FunctionDestination(self, location, facts, access)

    @classmethod
    def connect_for_reading(cls, conn_id: str | None, access: StoreAccess) -> FunctionDestination:  # noqa: ARG003 - of the protocol
        """Returns a destination that reads through the function that a part names."""
        return FunctionDestination(cls(), "", NO_FACTS, access)


class PythonRun:
    """The facts that a function has about the run whose records it gets.

    Args:
        run: the run.
        options: ``options`` of the spec.
        facts: primary key, incremental field and declared schema of the endpoint.
        find_connection: as ``StoreAccess.find_connection``.

    ``summary`` holds the figures of the run once all records came: rows, pages, watermark, … ``map_index`` is -1 for
    an endpoint that is not mapped. Two DAGs may have one ``run_id``: replace what has the same ``key``.
    """

    def __init__(
        self,
        run: Run,
        options: Mapping[str, Any] | None = None,
        facts: EndpointFacts = NO_FACTS,
        find_connection: Callable[[str], Any] | None = None,
    ) -> None:
        self.dag_id, self.endpoint, self.run_id = run.dag_id, run.endpoint, run.run_id
        self.map_index = run.map_index
        self.options = dict(options or {})
        self.primary_key, self.order_field = facts.primary_key, facts.order_field
        self.find_connection = find_connection
        self.summary: dict[str, Any] | None = None

    @property
    def key(self) -> tuple[str, str, str, int]:
        """Names this run of this task instance: DAG, endpoint, run id, map index."""
        return self.dag_id, self.endpoint, self.run_id, self.map_index

    def __repr__(self) -> str:
        return f"PythonRun{self.key!r}"


class AuthorSink(Protocol):
    """The object that a function returns, unless it is a generator function."""

    def write(self, batch: Any) -> object:
        """Takes a batch; nothing may show before ``commit``."""

    def commit(self, summary: Mapping[str, Any]) -> object:
        """Makes the run's records visible in place of those of an earlier try."""

    def abort(self) -> object:
        """Drops what was written."""


class FunctionDestination:
    """The function of a spec as a ``Destination``; reading back is an error for a function that cannot."""

    def __init__(
        self, options: PythonDestination, location: str, facts: EndpointFacts, access: StoreAccess
    ) -> None:
        self._options, self._location = options, location
        self._facts, self._access = facts, access

    def open(self, run: Run) -> FunctionWriter:
        """Imports the function and calls it.

        Raises:
            DestinationError: it cannot be imported, fails, or returns nothing that takes records.
        """
        path = self._options.function or ""
        target = import_function(path)
        given = self._describe_run(run)
        with naming(path, "the call"):
            made = target(given)
            if isinstance(made, GeneratorType):
                made = _GeneratorSink(made, given)
        missing = [
            name for name in ("write", "commit", "abort") if not callable(getattr(made, name, None))
        ]
        if missing:
            raise DestinationError(
                f"Function {path} returned {type(made).__name__}, which lacks {', '.join(missing)}",
                hint="Return an object with write, commit and abort, or write a generator function (docs/python-destination.md).",
            )
        return FunctionWriter(made, self._options, self._facts, run)

    def _describe_run(self, run: Run) -> PythonRun:
        return PythonRun(run, self._options.options, self._facts, self._access.find_connection)

    def remove_stale(self, current: Mapping[int, str | None]) -> int:
        """Calls ``remove_stale(run, kept)`` of the function or class, if it has one, with the instances that the run has.

        Raises:
            DestinationError: it fails.
        """
        path = self._options.function or ""
        remove = getattr(import_function(path), "remove_stale", None)
        if remove is None:
            return 0
        dag_id, endpoint, run_id = json.loads(self._location)
        run = Run(endpoint, run_id, dag_id=dag_id)
        with naming(path, "remove_stale"):
            return int(remove(self._describe_run(run), sorted(current)) or 0)

    def read(
        self,
        part: str,
        skip: int,
        take: int,
        *,
        host: str = "",  # noqa: ARG002 - of the protocol
        selector: str = "",
    ) -> Iterator[Any]:
        """Reads records through ``read`` of the function or class.

        Raises:
            ApiError: it has no ``read``, or that fails.
        """
        read = getattr(import_function(part), "read", None)
        if read is None:
            raise ApiError(
                f"Records that {part} took cannot be read back: it has no read",
                hint="Give it a read(run, skip, take), or let the first of destinations be files or a table.",
            )
        found = msgspec.json.decode(selector, type=_Selector)
        run = Run(found.endpoint, found.run_id, map_index=found.map_index, dag_id=found.dag_id)
        given = PythonRun(run, found.options, find_connection=self._access.find_connection)
        with naming(part, "read"):
            yield from read(given, skip, take)

    def describe(self, output: Output) -> Description:
        """Describes the output by the function's path and the run."""
        run = output.run
        selector = _Selector(
            run.dag_id, run.endpoint, run.run_id, run.map_index, self._options.options
        )
        part = Part(
            output.location,
            rows=output.summary.rows,
            bytes=0,
            selector=msgspec.json.encode(selector, enc_hook=str).decode(),
        )
        return Description([part], self.locate_manifest(run).path)

    def locate_manifest(self, run: Run) -> ManifestPlace:
        """Returns a name for the run; a function keeps no manifest."""
        return ManifestPlace(
            f"{self._options.function}#{run.dag_id}/{run.endpoint}/{run.run_id}/{run.map_index}"
        )

    def read_manifest(self, path: str) -> Mapping[str, Any] | None:  # noqa: ARG002 - of the protocol
        """Returns None: a watermark whose write was missed is not repaired, so its records come again."""
        return None


class _Selector(msgspec.Struct, frozen=True):
    """The run that a part belongs to, and the options of the function."""

    dag_id: str
    endpoint: str
    run_id: str
    map_index: int
    options: Mapping[str, Any] = {}


class FunctionWriter:
    """Hands the records of one run to an author's object, in batches of the size that the spec says."""

    def __init__(
        self, sink: AuthorSink, options: PythonDestination, facts: EndpointFacts, run: Run
    ) -> None:
        self._sink, self._run = sink, run
        self._path, self._size = options.function or "", options.size
        self._builder = _table_builder(facts, options.size) if options.batch == "arrow" else None
        self._waiting: list[Any] = []

    def write(self, records: Sequence[Any]) -> None:
        """Hands full batches on; the rest waits for more records.

        Raises:
            DestinationError: the author's code fails.
        """
        if self._builder is not None:
            self._hand_on_tables(self._builder.add(records))
            return
        self._waiting += [
            decode(each) if isinstance(each, msgspec.Raw) else each for each in records
        ]
        while len(self._waiting) >= self._size:
            batch, self._waiting = self._waiting[: self._size], self._waiting[self._size :]
            self._hand_on(batch)

    def _hand_on_tables(self, tables: Iterator[Any]) -> None:
        for table in tables:
            for batch in table.combine_chunks().to_batches(max_chunksize=self._size):
                self._hand_on(batch)

    def _hand_on(self, batch: Any) -> None:
        with naming(self._path, "write"):
            self._sink.write(batch)

    def commit(self, summary: TransferSummary) -> Output:
        """Hands the last batch on, then the figures.

        Raises:
            DestinationError: the author's code fails.
        """
        if self._builder is not None:
            self._hand_on_tables(self._builder.finish())
        elif self._waiting:
            batch, self._waiting = self._waiting, []
            self._hand_on(batch)
        with naming(self._path, "commit"):
            self._sink.commit(msgspec.to_builtins(summary))
        return Output(self._path, (self._path,), 0, summary, self._run)

    def abort(self) -> None:
        """Lets the author's code drop what it has; its errors are logged."""
        self._waiting = []
        try:
            self._sink.abort()
        except Exception:  # noqa: BLE001 - another error is on its way
            _log.exception("%s failed in abort", self._path)


class _GeneratorSink:
    """A generator function that takes batches from ``yield``, then None for the commit."""

    def __init__(self, generator: GeneratorType[Any, Any, Any], run: PythonRun) -> None:
        self._generator, self._run = generator, run
        with suppress(StopIteration):
            next(generator)

    def write(self, batch: Any) -> None:
        try:
            self._generator.send(batch)
        except StopIteration:
            raise ValueError(
                "it returned before all batches had come: take them until None comes"
            ) from None

    def commit(self, summary: Mapping[str, Any]) -> None:
        self._run.summary = dict(summary)
        if self._generator.gi_frame is None:
            raise ValueError("it returned before the commit: take batches until None comes")
        try:
            self._generator.send(None)
        except StopIteration:
            return
        self._generator.close()
        raise ValueError("it yields again after None, which ends the run")

    def abort(self) -> None:
        self._generator.close()  # raises GeneratorExit at its yield


def _table_builder(facts: EndpointFacts, size: int) -> TableBuilder:
    from oauth_taskflow.destinations.arrow.converter import TableBuilder  # an extra  # noqa: PLC0415

    return TableBuilder(facts.declared, block_rows=size)


def import_function(path: str) -> Callable[..., Any]:
    """Imports what a dotted path names.

    Raises:
        DestinationError: module or name is missing, importing fails, or it cannot be called.
    """
    module, _, name = path.rpartition(".")
    with naming(path, "its import"):
        found = getattr(importlib.import_module(module), name)
        if not callable(found):
            raise TypeError(f"it is a {type(found).__name__}, which cannot be called")
        return found  # type: ignore[no-any-return]


@contextmanager
def naming(path: str, step: str) -> Iterator[None]:
    """Turns errors of an author's code into a ``DestinationError`` that names it, and logs their traceback.

    Errors of this package and of Airflow, such as ``AirflowSkipException``, keep their meaning.
    """
    try:
        yield
    except OAuthTaskflowError:
        raise
    except Exception as error:
        if any(kind.__module__.partition(".")[0] == "airflow" for kind in type(error).__mro__):
            raise
        _log.exception("%s failed in %s", path, step)
        raise DestinationError(
            f"{path} failed in {step} ({type(error).__name__}: {redact_text(str(error))[:500]})",
            where="at the destination of type 'python'",
            hint="The task log has its traceback.",
        ) from error
