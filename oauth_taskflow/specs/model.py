"""The spec format, version 1: what one YAML file may say, as types.

``dag_spec.schema.json`` is generated from these types, so editor completion, the validator and the code that runs the
DAG cannot disagree. Shapes are stated here; what must be present and what contradicts is stated in ``rules``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from oauth_taskflow.api.paginators import Paginate
from oauth_taskflow.api.pull.records import Records
from oauth_taskflow.api.rate_limit import RateLimits
from oauth_taskflow.api.response_limits import Limits
from oauth_taskflow.api.response_rules import ResponseRule
from oauth_taskflow.contracts.check_options import Checks
from oauth_taskflow.contracts.options import AnyContract
from oauth_taskflow.destinations import AnyDestination
from oauth_taskflow.destinations.quarantine_options import QuarantineOptions
from oauth_taskflow.fields.options import Fields
from oauth_taskflow.schema.types import Concurrency, Duration, JmesPath, Options, Timeout, doc
from oauth_taskflow.specs.request import Json as Json
from oauth_taskflow.specs.request import Request as Request
from oauth_taskflow.specs.windows import Incremental

# What Airflow's database has room for: its integers are 32 bits wide, and one value that does not fit fails the write
# of every DAG of the file. Far below that, so that sums (of retries and tries, of weights) fit as well.
_MANY = 1_000_000
Slots = Annotated[int, Meta(ge=1, le=_MANY)]
Retries = Annotated[int, Meta(ge=0, le=_MANY)]
Weight = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
Owner = Annotated[str, Meta(max_length=500)]
ShortName = Annotated[str, Meta(max_length=250)]

Name = Annotated[
    str,
    doc(
        "Letters, digits, _ and -, with a letter or _ first.",
        "contacts",
        pattern=r"^[A-Za-z_][A-Za-z0-9_\-]*(?!\n)$",
        max_length=200,
    ),
]
ConnId = Annotated[str, doc("Id of an Airflow connection.", "crm", min_length=1, max_length=250)]
DateText = Annotated[
    str,
    doc("ISO 8601 date or date-time.", "2026-01-01", pattern=r"^\d{4}-\d{2}-\d{2}([T ].+)?$"),
]


class CopiedField(Options, frozen=True, kw_only=True):
    """A field that every record takes from its parent record."""

    path: Annotated[JmesPath, doc("JMESPath into the parent record; @ is a list's value.", "id")]
    replace: Annotated[
        bool,
        doc("Overwrite a field of that name; by default such a record fails.", True),
    ] = False


class ForEachOptions(Options, frozen=True, kw_only=True):
    """One request sequence per value of a list, or per record of another endpoint."""

    endpoint: Annotated[Name | None, doc("Name of the parent endpoint.", "contacts")] = None
    values: Annotated[
        list[str | int | float | bool] | None,
        doc("Values, one mapped task each; instead of endpoint.", ["eu", "us"]),
    ] = None
    batch: Annotated[int, doc("Parent records per mapped task.", 200, ge=1)] = 200
    key: Annotated[
        JmesPath | None,
        doc(
            "JMESPath that names a parent record among the stored watermarks; absent: what the request takes from it.",
            "id",
        ),
    ] = None
    copy: Annotated[
        Mapping[str, JmesPath | CopiedField],
        doc(
            "Fields added to every record: name to JMESPath into the parent record (@ is a list's value), or a mapping.",
            {"contact_id": "id"},
            {"ticker": {"path": "@", "replace": True}},
        ),
    ] = {}


ForEach = Annotated[
    str | list[str | int | float | bool] | ForEachOptions,
    doc(
        "Parent endpoint by name, a list of values (one mapped task each), or a mapping.",
        "contacts",
        ["eu", "us"],
        {"endpoint": "contacts", "batch": 100, "copy": {"contact_id": "id"}},
    ),
]


# Schedules whose runs have no data interval.
SCHEDULES_WITHOUT_INTERVAL = frozenset({"@once", "@continuous"})
# The durations among the options of a task.
TASK_DURATIONS = ("retry_delay", "max_retry_delay", "execution_timeout")


class TaskOptions(Options, frozen=True, kw_only=True):
    """Airflow task arguments."""

    owner: Annotated[Owner | UnsetType, doc("Owner shown in the UI.", "data")] = UNSET
    retries: Annotated[Retries | UnsetType, doc("Retries of a failed task.", 3)] = UNSET
    retry_delay: Annotated[Duration | UnsetType, doc("Wait between retries.", "PT5M")] = UNSET
    retry_exponential_backoff: Annotated[
        bool | UnsetType, doc("Double the wait with each retry.", True)
    ] = UNSET
    max_retry_delay: Annotated[
        Duration | UnsetType, doc("Longest wait between retries.", "PT1H")
    ] = UNSET
    execution_timeout: Annotated[Duration | UnsetType, doc("Longest run of one task.", "PT2H")] = (
        UNSET
    )
    pool: Annotated[ShortName | UnsetType, doc("Airflow pool.", "crm_pool")] = UNSET
    pool_slots: Annotated[Slots | UnsetType, doc("Pool slots taken.", 1)] = UNSET
    queue: Annotated[ShortName | UnsetType, doc("Executor queue.", "default")] = UNSET
    priority_weight: Annotated[Weight | UnsetType, doc("Priority in the queue.", 10)] = UNSET
    depends_on_past: Annotated[
        bool | UnsetType, doc("Run only when the task's last run succeeded.", True)
    ] = UNSET
    max_active_tis_per_dag: Annotated[
        Slots | UnsetType, doc("Mapped instances running at once over all runs.", 4)
    ] = UNSET
    max_active_tis_per_dagrun: Annotated[
        Slots | UnsetType, doc("Mapped instances running at once in one run.", 4)
    ] = UNSET


class Endpoint(Options, frozen=True, kw_only=True):
    """One resource of the API: how it is asked, read and stored."""

    description: Annotated[str, doc("Shown as the task's documentation.", "All contacts")] = ""
    connection: Annotated[ConnId | None, doc("Connection of this endpoint alone.", "crm_eu")] = None
    request: Annotated[Request, doc("The request for a page.", {"path": "/v3/contacts"})] = (
        Request()
    )
    records: Annotated[
        JmesPath | Records | None,
        doc("Where the records are: JMESPath, or a mapping; absent: the whole body.", "results"),
    ] = None
    where: Annotated[
        JmesPath | None,
        doc(
            "JMESPath that is true for the records to keep; names of for_each are visible beside the record's fields.",
            "status == 'active'",
            "updated_at >= contact.created_at",
        ),
    ] = None
    fields: Annotated[
        Fields | None,
        doc(
            "How each record is reshaped, before keys, watermark and destination see it.",
            {"move": {"links.self.href": "url"}, "drop": ["_links"]},
        ),
    ] = None
    contract: Annotated[
        AnyContract | None,
        doc(
            "What happens when the schema of records changes: a mode for all, or a mapping (docs/contract.md).",
            "evolve",
            {"types": "freeze", "schema": {"file": "schemas/contacts.json"}},
        ),
    ] = None
    checks: Annotated[
        Checks | None,
        doc(
            "What must be true of a run's records before they are committed (docs/contract.md).",
            {"min_rows": 1, "not_null": ["id"], "warn": {"max_change": 0.5}},
        ),
    ] = None
    primary_key: Annotated[
        JmesPath | list[JmesPath] | None,
        doc(
            "Field or fields that name a record; repeats within one task are dropped (docs/paging.md).",
            "id",
            ["org", "id"],
        ),
    ] = None
    paginate: Annotated[
        Paginate | None, doc("How the next page is found; absent: one page.", {"type": "link"})
    ] = None
    incremental: Annotated[
        Incremental | None,
        doc(
            "Read only what changed: in the run's data interval, or since a stored watermark.",
            {"field": "updatedAt", "start": "2024-01-01"},
        ),
    ] = None
    for_each: Annotated[
        dict[Name, ForEach],
        doc(
            "Repeat over lists and parent records; several names multiply.", {"contact": "contacts"}
        ),
    ] = {}
    concurrency: Annotated[
        Concurrency,
        doc(
            "Requests in flight within a task, over pages, windows and parent records, within the rate limit: a number, 1 "
            "for one after the other, or auto: as many as pay, at most 8.",
            "auto",
            16,
        ),
    ] = "auto"
    responses: Annotated[
        list[ResponseRule], doc("Ordered rules for answers.", [{"status": 404, "action": "skip"}])
    ] = []
    rate_limit: Annotated[
        RateLimits | None,
        doc(
            "Request budget of this endpoint, or a list of budgets, which hold at once.",
            {"requests": 100, "per": "PT1M"},
            [{"requests": 60, "per": "PT1M"}, {"requests": 5000, "per": "P1D"}],
        ),
    ] = None
    destination: Annotated[
        AnyDestination | None,
        doc("Where records go.", {"type": "file", "path": "/data/{{ endpoint }}"}),
    ] = None
    destinations: Annotated[
        list[AnyDestination],
        doc(
            "Several places that get each record, instead of destination; the first one's manifest proves a run.",
            [
                {"type": "file", "path": "s3://lake/{{ endpoint }}"},
                {"type": "file", "path": "/data/{{ endpoint }}"},
            ],
        ),
    ] = []
    quarantine: Annotated[
        QuarantineOptions | None,
        doc(
            "Where records go that contract or fields reject, and how many may be (docs/quarantine.md).",
            {"path": "/data/rejected/{{ endpoint }}", "max_records": 1000},
        ),
    ] = None
    resume: Annotated[
        bool,
        doc(
            "A task that is cut off goes on after its last complete page in the next try of the same run; false: it starts over.",
            False,
        ),
    ] = True
    timeout: Annotated[
        Timeout | None, doc("Seconds to wait for connect and for each read, up to 86400.", 30)
    ] = None
    limits: Annotated[
        Limits | None,
        doc("How large, deep and slow one answer may be.", {"bytes": 536870912, "time": "PT30M"}),
    ] = None
    task: Annotated[
        TaskOptions, doc("Airflow task arguments of this endpoint.", {"pool": "crm"})
    ] = TaskOptions()

    @property
    def all_destinations(self) -> list[AnyDestination]:
        """The places that records go to, the authority first; one in most specs, none in an incomplete endpoint."""
        return [*([] if self.destination is None else [self.destination]), *self.destinations]


class AssetSchedule(Options, frozen=True, kw_only=True):
    """Run when assets were updated."""

    assets: Annotated[
        list[
            Annotated[
                str,
                doc("Asset URI or name.", "s3://lake/raw/contacts", min_length=1, max_length=1500),
            ]
        ],
        doc("All of these must have new events.", ["s3://lake/raw/contacts"], min_length=1),
    ]


# Airflow stores the schedule in words, in at most 1,000 characters.
ScheduleText = Annotated[str, Meta(max_length=150)]


class DagSpec(Options, frozen=True, kw_only=True):
    """One YAML file: one DAG."""

    version: Annotated[Literal[1], doc("Version of this format.", 1)]
    dag_id: Annotated[
        str,
        doc(
            "Id of the DAG: letters, digits, underscores, dots and hyphens.",
            "crm",
            pattern=r"^[A-Za-z0-9_.\-]+(?!\n)$",
            max_length=250,
        ),
    ]
    endpoints: Annotated[
        dict[Name, Endpoint | None],
        doc(
            "The endpoints by name.",
            {"contacts": {"request": {"path": "/v3/contacts"}}},
            min_length=1,
        ),
    ]
    description: Annotated[
        str, doc("One line for the DAG list.", "CRM, hourly", max_length=10_000)
    ] = ""
    doc_md: Annotated[str, doc("Markdown shown on the DAG's page.", "# CRM")] = ""
    schedule: Annotated[
        ScheduleText | AssetSchedule | None,
        doc(
            "Cron expression, preset, ISO 8601 duration, assets, or null for manual runs.",
            "@hourly",
            "PT15M",
            None,
        ),
    ] = None
    start_date: Annotated[
        DateText | None,
        doc("First data interval begins here; UTC unless it says otherwise.", "2026-01-01"),
    ] = None
    end_date: Annotated[DateText | None, doc("Last data interval ends here.", "2027-01-01")] = None
    catchup: Annotated[bool, doc("Run all intervals missed since start_date.", False)] = False
    timezone: Annotated[
        str, doc("IANA zone of cron schedules and bare dates.", "Europe/Berlin", min_length=1)
    ] = "UTC"
    tags: Annotated[
        list[Annotated[str, doc("A tag.", "crm", min_length=1, max_length=100)]],
        doc("Tags in the UI.", ["crm"]),
    ] = []
    owner_links: Annotated[
        dict[
            Annotated[str, doc("An owner.", "data", max_length=500)],
            Annotated[str, doc("A link.", "mailto:data@example.com", max_length=500)],
        ],
        doc("Owner name to link.", {"data": "mailto:data@example.com"}),
    ] = {}
    max_active_runs: Annotated[Slots | None, doc("Runs of this DAG at once.", 1)] = None
    max_active_tasks: Annotated[Slots | None, doc("Tasks of this DAG at once.", 8)] = None
    dagrun_timeout: Annotated[Duration | None, doc("Longest run of the whole DAG.", "PT6H")] = None
    is_paused_upon_creation: Annotated[bool | None, doc("Begin paused.", True)] = None
    params: Annotated[
        dict[Name, Json],
        doc("DAG params with their defaults: {{ params.region }}.", {"region": "eu"}),
    ] = {}
    default_args: Annotated[
        TaskOptions, doc("Airflow task arguments of every task.", {"retries": 3})
    ] = TaskOptions()
    connection: Annotated[ConnId | None, doc("Connection of every endpoint.", "crm")] = None
    rate_limit: Annotated[
        RateLimits | None,
        doc(
            "Request budget of all endpoints together, or a list of budgets; those of the connection hold as well.",
            {"requests": 100, "per": "PT1M"},
            [
                {"requests": 100, "per": "PT1M"},
                {"requests": 10, "per": "PT1M", "endpoints": ["search"]},
            ],
        ),
    ] = None
    defaults: Annotated[
        Endpoint, doc("Deep-merged under every endpoint.", {"request": {"params": {"limit": 200}}})
    ] = field(default_factory=Endpoint)


class Spec(Struct, frozen=True, kw_only=True):
    """A checked spec: ``source`` with ``endpoints`` complete, the defaults merged into each, in file order."""

    source: DagSpec
    path: str
    endpoints: dict[str, Endpoint]

    @property
    def order(self) -> tuple[str, ...]:
        """The endpoint names, each after its parents, otherwise in file order."""
        parents = {n: parent_names(each) for n, each in self.endpoints.items() if each.for_each}
        placed: dict[str, None] = {}
        pending = list(self.endpoints)
        while pending:
            for name in pending:
                if all(p in placed or p not in self.endpoints for p in parents.get(name, ())):
                    placed[name] = None
            left = [name for name in pending if name not in placed]
            if left == pending:  # a cycle, which a rule refuses
                placed.update(dict.fromkeys(left))
                break
            pending = left
        return tuple(placed)


def parent_names(endpoint: Endpoint) -> list[str]:
    """The endpoints whose records ``endpoint`` is repeated over, each once, in the order of its ``for_each``."""
    named = [
        over.endpoint if isinstance(over, ForEachOptions) else over
        for over in endpoint.for_each.values()
    ]
    return list(dict.fromkeys(name for name in named if isinstance(name, str)))
