"""``airflow oauth schema``: the schema of an endpoint's records, to be frozen in a file, or compared with it."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from oauth_taskflow.contracts.last_run import name_difference
from oauth_taskflow.destinations.temporary_folder import open_temporary_folder
from oauth_taskflow.engine.contract_stage import find_declared
from oauth_taskflow.engine.for_each import build_mapped_items, for_each_options
from oauth_taskflow.engine.run import run_endpoint
from oauth_taskflow.engine.schema_sample import EnoughRecords, SampleStage, without_contract
from oauth_taskflow.errors import OAuthTaskflowError
from oauth_taskflow.record_schema.json_schema import schema_from_json, schema_to_json
from oauth_taskflow.record_schema.model import RecordSchema
from oauth_taskflow.specs.budgets import complete_endpoint
from oauth_taskflow.specs.check import check_file
from oauth_taskflow.specs.model import Spec, parent_names
from oauth_taskflow.specs.windows import Interval
from oauth_taskflow.suggestions import suggest_allowed
from oauth_taskflow.taskflow.cli.output import WRONG_ARGUMENTS, exit_with, say
from oauth_taskflow.taskflow.dags.local_run import LocalRun, build_task, utc_now
from oauth_taskflow.taskflow.dags.storage import open_path
from oauth_taskflow.taskflow.sessions import open_session


def schema(args: Namespace) -> None:
    """Run the command. Airflow's CLI calls it with the parsed arguments.

    Raises:
        SystemExit: with 1 for drift, or when no schema is found, 2 for wrong arguments.
    """
    spec = _load(args.spec)
    if args.endpoint not in spec.endpoints:
        hint = suggest_allowed(args.endpoint, spec.endpoints)
        exit_with(f"The spec has no endpoint {args.endpoint!r}. {hint}", WRONG_ARGUMENTS)
    try:
        found = _read_manifest(args.from_run) if args.from_run else _sample(spec, args)
        if args.check:
            _check(spec, args.endpoint, found)
            return
    except OAuthTaskflowError as error:
        exit_with(f"{args.endpoint}: {error}")
    document = schema_to_json(found)
    text = f"{json.dumps(document, indent=2, ensure_ascii=False)}\n"
    if args.file:
        try:
            Path(args.file).expanduser().write_text(text, encoding="utf-8")
        except OSError as error:
            exit_with(f"{args.file} cannot be written: {error.strerror}.")
        say(f"{args.endpoint}: {len(found.fields)} fields, written to {args.file}")
        return
    if args.output == "yaml":
        text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    print(text, end="")  # noqa: T201 - this is a command line


def _load(path: str) -> Spec:
    checked = check_file(path)
    for problem in checked.problems:
        say(problem)
    if checked.spec is None:
        exit_with(f"{path} cannot be read: correct the problems above.")
    return checked.spec


def _read_manifest(place: str) -> RecordSchema:
    path: Any = Path(place).expanduser().absolute() if "://" not in place else open_path(place)
    try:
        manifest = json.loads(path.read_bytes())
    # Object stores raise exceptions of libraries that we do not import.
    except Exception as error:  # noqa: BLE001
        exit_with(f"{place} cannot be read as a manifest ({type(error).__name__}: {error}).")
    document = manifest.get("schema") if isinstance(manifest, Mapping) else None
    if document is None:
        exit_with(f"{place} has no schema: the endpoint of that run has no contract.")
    return schema_from_json(document)


def _sample(spec: Spec, args: Namespace) -> RecordSchema:
    """Pulls up to ``--rows`` records, and commits no record."""
    endpoint = without_contract(complete_endpoint(spec, args.endpoint))
    if parent_names(endpoint):
        exit_with(
            f"{args.endpoint} repeats over records of another endpoint: let it run with contract: evolve, and name its "
            "manifest in --from-run.",
            WRONG_ARGUMENTS,
        )
    options = for_each_options(endpoint)
    items = build_mapped_items(options, {}) if options else [{}]
    given = find_declared(complete_endpoint(spec, args.endpoint)) if args.check else None
    sample = SampleStage(args.rows, given)
    now = utc_now()
    with open_temporary_folder("schema") as folder:
        run = LocalRun(
            spec=spec,
            endpoints=[args.endpoint],
            output=Path(folder),
            params=dict(spec.source.params),
            interval=Interval(None, now, open_end=True),
            now=now,
        )
        conn_id = endpoint.connection or spec.source.connection or ""
        with open_session(conn_id) as session, suppress(EnoughRecords):
            for number, item in enumerate(items):
                task = build_task(run, args.endpoint, endpoint, item, number if options else -1)
                run_endpoint(replace(task, further_stages=(sample,)), session)
    if not sample.count:
        exit_with(f"{args.endpoint}: the API has no record, so that there is no schema.")
    say(f"{args.endpoint}: the schema of {sample.count:,} records")
    return sample.schema


def _check(spec: Spec, name: str, found: RecordSchema) -> None:
    declared = find_declared(complete_endpoint(spec, name))
    if declared is None:
        exit_with(f"{name} has no contract.schema to compare with.", WRONG_ARGUMENTS)
    drift = name_difference(declared, found)
    for text in drift:
        say(f"{name}: {text}")
    if drift:
        exit_with(f"{name}: the records are not as contract.schema says.")
    say(f"{name}: the records are as contract.schema says.")
