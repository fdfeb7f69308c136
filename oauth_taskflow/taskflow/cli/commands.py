"""The ``airflow oauth`` commands, as Airflow's CLI reads them.

Airflow imports this module for every command it runs, so it imports no other module of this package.
"""

from __future__ import annotations

from airflow.cli.cli_config import (
    ARG_OUTPUT,
    ActionCommand,
    Arg,
    CLICommand,
    GroupCommand,
    lazy_load_command,
)

_PULL_ARGUMENTS = (
    Arg(("spec",), help="path of the spec, a YAML file"),
    Arg(
        ("--endpoint",),
        action="append",
        metavar="NAME",
        help="pull this endpoint (and the parents it repeats over) only; may be given several times",
    ),
    Arg(
        ("--folder",),
        metavar="DIR",
        help="write files below this folder instead of ./pulled/<dag_id>; the spec's own destinations are not touched",
    ),
    Arg(
        ("-o", "--output"),
        metavar="table, json, yaml, plain",
        default="table",
        help="how the figures are printed; default table (any other value is a folder, as --folder: deprecated)",
    ),
    Arg(
        ("--set",),
        action="append",
        metavar="KEY=VALUE",
        help="set a param of the spec; the value is read as YAML; may be given several times",
    ),
    Arg(
        ("--since",),
        metavar="TIME",
        help="read incremental endpoints from this ISO 8601 time instead of their start",
    ),
    Arg(("--until",), metavar="TIME", help="read incremental endpoints up to this time, not now"),
    Arg(
        ("--move-watermark",),
        action="store_true",
        help="let endpoints with incremental.by: watermark move it; otherwise they only read from it",
    ),
    Arg(
        ("--to-destination",),
        action="store_true",
        help="write to the destinations of the spec, as its own run, instead of files below a folder",
    ),
)

_CONNECTION = Arg(("conn_id",), help="id of the connection")
_ONE_OR_ALL = Arg(
    ("conn_id",), nargs="?", help="id of the connection; without it, all stored grants"
)


def _make_switch(name: str, help_text: str) -> Arg:
    return Arg((name,), action="store_true", help=help_text)


_LOGIN_ARGUMENTS = (
    _CONNECTION,
    _make_switch(
        "--device",
        "show a code to type in on any device (RFC 8628) instead of opening a browser here",
    ),
    _make_switch(
        "--paste",
        "for machines without a browser: open the address elsewhere and paste the one it ends at",
    ),
    _make_switch("--no-browser", "print the address only"),
    Arg(
        ("--port",),
        type=int,
        default=0,
        help="port of 127.0.0.1 that the browser is sent back to; default: that of redirect_uri, else a free one",
    ),
    Arg(
        ("--timeout",),
        type=float,
        default=300.0,
        help="seconds to wait for the person; default 300",
    ),
    _make_switch(
        "--revoke-old",
        "afterwards end the grant that this one replaces at the authorization server",
    ),
    _make_switch(
        "--write-back",
        "put the refresh token into the Airflow connection too (metadata database only)",
    ),
    ARG_OUTPUT,
)


def _make_grant_command(name: str, help_text: str, which: Arg = _CONNECTION) -> ActionCommand:
    """A command whose function in ``grants`` has the same name."""
    func = lazy_load_command(f"oauth_taskflow.taskflow.cli.grants.{name}")
    return ActionCommand(name=name, help=help_text, func=func, args=(which, ARG_OUTPUT))


_GRANT_COMMANDS = (
    ActionCommand(
        name="login",
        help="Let a person authorize a connection, and store its refresh token",
        description=(
            "Opens the authorization page and waits for the answer on a loopback port. Exit status: 0 "
            "authorized, 1 not, 2 wrong arguments."
        ),
        func=lazy_load_command("oauth_taskflow.taskflow.cli.login.login"),
        args=_LOGIN_ARGUMENTS,
    ),
    _make_grant_command(
        "status", "Show stored grants: state, expiry, last refresh; never a secret", _ONE_OR_ALL
    ),
    _make_grant_command("refresh", "Fetch a connection's next token now"),
    _make_grant_command("revoke", "End a connection's grant at the authorization server and here"),
    _make_grant_command("forget", "Delete a connection's stored tokens here only"),
)


_DAG = Arg(("dag_id",), help="id of the DAG")
_ENDPOINT = Arg(("endpoint",), help="name of the endpoint")
_WHICH_WATERMARK = (
    Arg(
        ("--partition",),
        metavar="JSON",
        help="the parent record or list value, as show --partitions prints it",
    ),
    Arg(("--conn-id",), metavar="ID", help="the connection, where the endpoint had several"),
    _make_switch("--yes", "do not ask"),
    ARG_OUTPUT,
)


def _make_watermark_command(
    name: str, function: str, help_text: str, args: tuple[Arg, ...]
) -> ActionCommand:
    func = lazy_load_command(f"oauth_taskflow.taskflow.cli.watermark.{function}")
    return ActionCommand(name=name, help=help_text, func=func, args=args)


_WATERMARK_COMMANDS = (
    _make_watermark_command(
        "show",
        "show",
        "Show where the next runs begin to read, one row for each endpoint",
        (
            Arg(("dag_id",), nargs="?", help="id of the DAG; without it, all"),
            Arg(("--endpoint",), metavar="NAME", help="this endpoint only"),
            _make_switch("--partitions", "one row for each parent record and list value"),
            ARG_OUTPUT,
        ),
    ),
    _make_watermark_command(
        "set",
        "replace",
        "Set the watermark or cursor of an endpoint or partition, backwards too",
        (
            _DAG,
            _ENDPOINT,
            Arg(("value",), nargs="?", help="an ISO 8601 time, or a whole number"),
            Arg(("--cursor",), metavar="TEXT", help="set the API's own cursor instead"),
            *_WHICH_WATERMARK,
        ),
    ),
    _make_watermark_command(
        "reset",
        "reset",
        "Drop the watermarks of an endpoint, or of one partition: the next run reads from the start",
        (_DAG, _ENDPOINT, *_WHICH_WATERMARK),
    ),
)


_SCHEMA_ARGUMENTS = (
    Arg(("spec",), help="path of the spec, a YAML file"),
    Arg(("endpoint",), help="name of the endpoint"),
    Arg(("--from-run",), metavar="MANIFEST", help="read the manifest of a run instead of pulling"),
    Arg(
        ("--rows",),
        type=int,
        default=1000,
        metavar="N",
        help="pull at most N records; default 1000",
    ),
    Arg(("--file",), metavar="PATH", help="write the schema to this file"),
    _make_switch("--check", "compare with contract.schema of the spec, and end with 1 for drift"),
    ARG_OUTPUT,
)


def get_cli_commands() -> list[CLICommand]:
    """The command group ``airflow oauth`` (entry ``cli`` of the provider metadata)."""
    return [
        GroupCommand(
            name="oauth",
            help="Work with OAuth connections and endpoint specs",
            subcommands=(
                ActionCommand(
                    name="pull",
                    help="Pull the endpoints of a spec in this process, without a scheduler",
                    description=(
                        "Runs the same code as the tasks of the spec's DAG and writes to a folder of your own. "
                        "Exit status: 0 done, 1 the spec has problems or an endpoint failed, 2 wrong arguments."
                    ),
                    func=lazy_load_command("oauth_taskflow.taskflow.cli.pull.pull"),
                    args=_PULL_ARGUMENTS,
                ),
                ActionCommand(
                    name="schema",
                    help="Write the schema of an endpoint's records, or compare it with the frozen one",
                    description=(
                        "Pulls some records, and commits none of them; or reads the manifest of a run. The schema is JSON Schema "
                        "2020-12, for contract.schema of the spec. Exit status: 0 done, 1 drift or failure, 2 wrong arguments."
                    ),
                    func=lazy_load_command("oauth_taskflow.taskflow.cli.schema.schema"),
                    args=_SCHEMA_ARGUMENTS,
                ),
                *_GRANT_COMMANDS,
                GroupCommand(
                    name="watermark",
                    help="Show, set and reset stored watermarks (incremental.by: watermark)",
                    subcommands=_WATERMARK_COMMANDS,
                ),
                ActionCommand(
                    name="presets",
                    help="List the providers that a connection can name, or show one of them",
                    func=lazy_load_command("oauth_taskflow.taskflow.cli.presets.presets"),
                    args=(
                        Arg(("name",), nargs="?", help="the preset to show; else all are listed"),
                        ARG_OUTPUT,
                    ),
                ),
            ),
        )
    ]
