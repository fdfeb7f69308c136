"""The summary of one run of one endpoint, from the output that was committed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import UNSET

from oauth_taskflow.destinations.base import Description, Output
from oauth_taskflow.engine.contract_figures import contract_figures
from oauth_taskflow.engine.output_location import destination_kind
from oauth_taskflow.engine.summary import EndpointSummary, add_up_datasets, describe_further
from oauth_taskflow.specs.windows import move_interval
from oauth_taskflow.waits import Waits

if TYPE_CHECKING:
    from oauth_taskflow.engine.run import EndpointRun


def summarize_run(
    run: EndpointRun, output: Output, description: Description, sequences: int, waits: Waits
) -> EndpointSummary:
    """Returns the figures of ``run``, whose ``output`` is committed; settles its stored watermarks.

    ``sequences`` were begun by all attempts, and ``waits`` are theirs too.
    """
    late = run.watermarks.settle() if run.watermarks is not None else ""
    summary = output.summary
    interval = None
    if run.endpoint.incremental is not None:
        moved = move_interval(run.endpoint.incremental, run.interval)
        interval = [moved.start.isoformat() if moved.start else "", moved.end.isoformat()]
    datasets = add_up_datasets(description)
    return EndpointSummary(
        endpoint=run.name,
        rows=summary.rows,
        pages=summary.pages,
        sequences=sequences,
        bytes=output.bytes,
        received_bytes=summary.received_bytes,
        seconds=summary.seconds,
        files=description.parts,
        manifest=description.manifest,
        conn_id=description.conn_id,
        duplicates=summary.dropped,
        filtered=0 if summary.filtered is UNSET else summary.filtered,
        outside=0 if summary.outside is UNSET else summary.outside,
        watermark=summary.watermark,
        interval=interval,
        map_index=run.map_index,
        warnings=[*summary.warnings, *filter(None, [late])],
        destination=destination_kind(run.endpoint),
        datasets=list(datasets),
        dataset_bytes=list(datasets.values()),
        further=describe_further(run.endpoint, description),
        waits=waits.seconds(),
        quarantine=description.quarantine,
        **contract_figures(summary),
    )
