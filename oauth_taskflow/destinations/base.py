"""The protocols of a destination: its options in a spec, and the object that the engine asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from msgspec import Struct

from oauth_taskflow.errors import DestinationError
from oauth_taskflow.record_schema.model import RecordSchema

if TYPE_CHECKING:
    import pyarrow as pa

    from oauth_taskflow.destinations.transfer import TransferSummary

# (path or URL, Airflow connection of its store) -> a pathlib.Path or something that behaves like one
PathOpener = Callable[[str, "str | None"], Any]
# A template of the spec -> its text in this run; values that came with the run are single path segments.
TemplateRenderer = Callable[[str], str]


class StoreConnection(Protocol):
    """An Airflow connection, as far as a destination reads it; its password and extra are secret."""

    conn_id: str
    conn_type: str
    host: str | None
    port: int | None
    login: str | None
    password: str | None
    schema: str | None

    @property
    def extra_dejson(self) -> dict[str, Any]:
        """The extra fields."""


def find_no_connection(conn_id: str) -> StoreConnection:
    """The ``StoreAccess.find_connection`` of a place without Airflow.

    Raises:
        DestinationError: always.
    """
    raise DestinationError(
        f"No Airflow connection can be read here, so not {conn_id!r} either",
        where="at the destination",
        hint="Run the endpoint in a task or with airflow oauth pull.",
    )


class StoreAccess(Struct, frozen=True):
    """The ways to the stores that a destination writes to: paths, and Airflow connections by their id.

    ``find_connection`` raises ``DestinationError`` for a connection that is missing.
    """

    open_path: PathOpener
    find_connection: Callable[[str], StoreConnection] = find_no_connection


class EndpointFacts(Struct, frozen=True):
    """The facts about an endpoint that a table needs, besides the records themselves.

    ``primary_key`` names the fields of a record's key (JMESPath). ``order_field`` is the incremental field: of two records with one key, that
    with the higher value counts; ``order_form`` is its form (``incremental.field_format``). ``declared`` is the schema that the spec gives,
    if it does.
    """

    primary_key: tuple[str, ...] = ()
    order_field: str | None = None
    declared: RecordSchema | None = None
    order_form: str | tuple[str, ...] | None = None


NO_FACTS = EndpointFacts()


class Run(Struct, frozen=True):
    """The run whose output is written; ``labels`` are further facts for the manifest.

    ``map_index`` is the number of a mapped task instance, -1 without mapping. ``dag_id`` is empty outside a DAG.
    """

    endpoint: str
    run_id: str = ""
    labels: dict[str, Any] = {}
    map_index: int = -1
    dag_id: str = ""


class FileFigures(Struct, frozen=True):
    """The number of records and bytes of one file of an output."""

    rows: int
    bytes: int


class Output(Struct, frozen=True):
    """The committed output of ``run``: names of the files (or tables), their size in bytes, and the summary.

    ``figures`` are those of each file, in the same order; without them the output is one file.
    """

    location: str
    files: tuple[str, ...]
    bytes: int
    summary: TransferSummary
    run: Run
    figures: tuple[FileFigures, ...] = ()


class Part(Struct, frozen=True, omit_defaults=True):
    """One committed file or table with its number of records and bytes; ``host`` names the machine whose disk it is on.

    ``selector`` is for the destination alone: it says which records of a table are those of the run. XCom holds it.
    """

    path: str
    rows: int
    bytes: int
    host: str = ""
    selector: str = ""


class Description(Struct, frozen=True):
    """An output as XCom and asset events show it, and as a child endpoint finds its records.

    ``manifest`` is the place that says which output of the run counts. ``conn_id`` is the connection of the store.
    ``dataset`` is the URI of the real object, a folder or table without its runs, as lineage names it; it has no secret.
    ``further`` describes the same records at the further destinations of the endpoint. ``quarantine`` is the manifest of the
    rejected records, where these have a folder of their own.
    """

    parts: list[Part]
    manifest: str
    conn_id: str | None = None
    dataset: str | None = None
    further: tuple[Description, ...] = ()
    quarantine: str | None = None


class ManifestPlace(Struct, frozen=True):
    """Where the manifest of an output will be, before the output is committed, and the connection of its store."""

    path: str
    conn_id: str | None = None


class Writer(Protocol):
    """Takes the records of one run. Nothing shows at the destination before ``commit``."""

    def write(self, records: Sequence[Any]) -> None:
        """Writes a page's records, ``msgspec.Raw`` or Python values."""

    def commit(self, summary: TransferSummary) -> Output:
        """Puts everything in place and replaces the output of an earlier try of the same run."""

    def abort(self) -> None:
        """Drops everything that was written; never raises."""


@runtime_checkable
class RejectingWriter(Protocol):
    """A ``Writer`` that has a place for records which stages rejected; they show with its commit, and not before."""

    def reject(self, records: Sequence[Any]) -> None:
        """Writes descriptions of rejected records, as ``msgspec.Raw``.

        Raises:
            DestinationError: they cannot be written.
        """


class Progress(Struct, frozen=True):
    """The progress that an attempt kept before it was cut off: the first ``rows`` records, and the engine's ``state``.

    ``place`` is for the destination alone. ``rejected`` counts the rejected records next to them; for ``resume``, those wanted.
    """

    rows: int
    state: bytes
    place: Any = None
    rejected: int = 0


@runtime_checkable
class ResumableWriter(Protocol):
    """A ``Writer`` whose records may outlive it; only ``commit`` makes them visible."""

    def write(self, records: Sequence[Any]) -> None:
        """As ``Writer.write``."""

    def commit(self, summary: TransferSummary) -> Output:
        """As ``Writer.commit``; removes what was kept."""

    def abort(self) -> None:
        """As ``Writer.abort``; what an earlier attempt kept stays."""

    def keep(self, state: bytes) -> None:
        """Keeps all records written so far together with ``state``, both or neither, in place of what was kept before.

        Raises:
            DestinationError: they cannot be kept; what was kept before stays.
        """

    def suspend(self) -> None:
        """Ends without a commit: what was kept stays for the next attempt, and nothing else. Never raises."""


@runtime_checkable
class ResumableDestination(Protocol):
    """The further methods of a ``Destination`` at which a pull that was cut off goes on in the next attempt.

    A destination without them starts over, which is always right. Several attempts of one run may be open at once: an
    attempt never changes what another one kept, except that a commit removes it.
    """

    @property
    def is_resumable(self) -> bool:
        """Whether a writer of this place keeps records, which may depend on the options."""

    @property
    def keep_every(self) -> float:
        """Seconds between two calls of ``keep``: its cost must not show."""

    def find_progress(self, run: Run) -> Progress | None:
        """Returns what an earlier attempt of ``run`` kept; None when nothing is there, or another attempt committed since.

        Raises:
            DestinationError: the destination cannot be read.
        """

    def resume(self, run: Run, progress: Progress, rows: int) -> ResumableWriter | None:
        """Opens a writer that has the first ``rows`` records of ``progress``; None when they have changed.

        Raises:
            DestinationError: the destination cannot be read or written.
        """

    def read_kept(self, run: Run, progress: Progress, skip: int, take: int) -> Iterator[Any]:
        """Yields ``take`` records of ``progress`` after the first ``skip``, as they were written."""


KeptForm = Literal["bytes", "json", "values"]


@runtime_checkable
class FaithfulDestination(Protocol):
    """The further property of a ``ResumableDestination`` whose ``read_kept`` changes no value of a record."""

    @property
    def kept_form(self) -> KeptForm:
        """The form in which kept records come back.

        ``bytes``: as they were written; ``json``: with names in another order, other blanks, and numbers without exponents; ``values``:
        null may also stand for an absent field, and instants and decimals may be written otherwise.
        """


def find_kept_form(destination: object) -> KeptForm:
    """Returns the form in which ``destination`` gives kept records back; ``values``, which promises least, where it does not say."""
    return destination.kept_form if isinstance(destination, FaithfulDestination) else "values"


class Destination(Protocol):
    """A place that records of one endpoint go to, in one run."""

    def open(self, run: Run) -> Writer:
        """Opens a writer for one task instance; several attempts of one run may be open at once.

        Raises:
            DestinationError: the destination cannot be written.
        """

    def remove_stale(self, current: Mapping[int, str | None]) -> int:
        """Removes the output of task instances that the run no longer has, and returns how many there were.

        ``current`` holds the numbers of the instances (-1: the unmapped one), each with the manifest of its output.
        A manifest of None is unknown: output of that instance stays.

        Raises:
            DestinationError: the destination cannot be listed, or a part cannot be removed.
        """

    def read(
        self, part: str, skip: int, take: int, *, host: str = "", selector: str = ""
    ) -> Iterator[Any]:
        """Reads ``take`` decoded records of a part, after the first ``skip``; ``host`` and ``selector`` are those of the part.

        Two calls see the records in the same order.

        Raises:
            ApiError: the part is missing.
        """

    def describe(self, output: Output) -> Description:
        """Describes an output that a writer of this destination committed."""

    def locate_manifest(self, run: Run) -> ManifestPlace:
        """Returns where the manifest of ``run`` is once its output is committed."""

    def read_manifest(self, path: str) -> Mapping[str, Any] | None:
        """Returns the manifest at ``path``, of ``locate_manifest``; None while nothing is committed there.

        Raises:
            DestinationError: the destination cannot be read, or has something else there.
        """


@runtime_checkable
class TableReader(Protocol):
    """The further methods of a ``Destination`` whose parts may be read as Arrow tables, without decoding each record."""

    def read_tables(
        self, part: str, *, host: str = ""
    ) -> Iterator[tuple[pa.Table, RecordSchema]] | None:
        """Reads a part as tables of bounded size, each with the schema of its records; None for a part of another form.

        Raises:
            ApiError: the part is missing.
        """

    def has_types(self, part: str) -> bool:
        """Whether the records of a part are read back with the types of their values, and not as texts alone."""


class DestinationKind(Protocol):
    """The options of a destination in a spec: every member of ``destinations.AnyDestination`` is one.

    A kind is a ``schema.types.Options`` struct with ``tag_field="type"`` and its name in specs as ``tag``.
    """

    @property
    def address(self) -> str | None:
        """Distinguishes one place from another, with templates not yet filled in; None while the spec names no place."""

    def templates(self) -> dict[str, str]:
        """Returns the templates among the options, by their keys."""

    def locate(self, render: TemplateRenderer, run_id: str) -> str:
        """Returns the place that one run writes to."""

    def connect(
        self, location: str, access: StoreAccess, facts: EndpointFacts = NO_FACTS
    ) -> Destination:
        """Returns the destination at ``location``, a result of ``locate`` or a folder that a person chose."""

    @classmethod
    def connect_for_reading(cls, conn_id: str | None, access: StoreAccess) -> Destination:
        """Returns a destination that reads the parts that other tasks wrote with the connection ``conn_id``."""
