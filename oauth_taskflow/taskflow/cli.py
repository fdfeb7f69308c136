"""The ``airflow oauth`` commands, as Airflow's CLI reads them.

Airflow imports this module for every command it runs, so it imports nothing else of ours.
"""

from __future__ import annotations

from airflow.cli.cli_config import ActionCommand, Arg, CLICommand, GroupCommand, lazy_load_command

_PULL_ARGUMENTS = (
    Arg(("spec",), help="path of the spec, a YAML file"),
    Arg(
        ("--endpoint",),
        action="append",
        metavar="NAME",
        help="pull this endpoint (and the parents it repeats over) only; may be given several times",
    ),
    Arg(
        ("--output",),
        metavar="DIR",
        help="write below this folder instead of ./pulled/<dag_id>; the spec's own destination is never touched",
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
                    func=lazy_load_command("oauth_taskflow.taskflow.pull_command.pull"),
                    args=_PULL_ARGUMENTS,
                ),
            ),
        )
    ]
