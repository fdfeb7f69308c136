"""The figures of one endpoint run, for XCom, asset event, log line and table row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from oauth_taskflow.api.pull.page_warnings import PageEnds, judge_ends
from oauth_taskflow.api.pull.watermark import Watermark
from oauth_taskflow.destinations import DEFAULT_KIND
from oauth_taskflow.destinations.base import Description, Part
from oauth_taskflow.engine.contract_figures import add_contract_figures
from oauth_taskflow.engine.output_location import kind_name
from oauth_taskflow.engine.warning_list import WarningList
from oauth_taskflow.specs.model import Endpoint
from oauth_taskflow.waits import add_waits


class FurtherOutput(Struct, frozen=True, omit_defaults=True):
    """The same records at a further destination of the endpoint; the names mean what they mean in ``EndpointSummary``."""

    files: list[Part]
    manifest: str
    bytes: int
    destination: str = DEFAULT_KIND
    conn_id: str | None = None


class EndpointSummary(Struct, frozen=True, omit_defaults=True):
    """Figures of one run of one endpoint.

    ``sequences`` counts the page sequences (one per window and parent record), ``bytes`` what was written and
    ``received_bytes`` what the API sent; ``seconds`` is wall time. ``conn_id`` is the connection of the object store.
    ``duplicates`` counts records dropped by primary key, ``filtered`` those that ``where`` left out, ``outside`` those
    outside the window. ``watermark`` is the highest value of the incremental field, and ``interval`` the span that was
    read (ISO 8601; an empty start means from the beginning). ``map_index`` is that of a mapped instance; ``token_refreshes`` counts the refreshes that this process
    caused. ``warnings`` are for people. ``destination`` is the kind of destination that reads the files back. ``resumed``
    counts the attempts whose records this one went on with. ``datasets`` are the URIs of the real objects, for lineage, and
    ``dataset_bytes`` what was written to each of them. With several destinations, files, bytes and manifest are those of the first, and ``further`` has those of the others in their order. ``schema`` is the
    JSON Schema of the records, ``rejected`` counts the records that the contract left out, ``discarded`` the values by their paths.
    ``drift`` names what changed in the schema since the run before. ``waits`` are the seconds that requests waited, by
    reason, in all attempts whose records are in the output; those of requests at the same time add up. ``ends`` of a mapped
    instance say where its pages ended, for warnings that need to know those of all. ``quarantine`` is the manifest of the rejected
    records, where these have a folder of their own.
    """

    endpoint: str
    rows: int
    pages: int
    sequences: int
    bytes: int
    received_bytes: int
    seconds: float
    files: list[Part]
    manifest: str
    conn_id: str | None = None
    duplicates: int = 0
    watermark: str | int | float | None = None
    interval: list[str] | None = None
    map_index: int = -1
    token_refreshes: int = 0
    warnings: list[str] = []
    destination: str = DEFAULT_KIND
    filtered: int = 0
    outside: int = 0
    resumed: int = 0
    datasets: list[str] = []
    dataset_bytes: list[int] = []
    further: list[FurtherOutput] = []
    schema: dict[str, Any] | None = None
    rejected: int = 0
    discarded: dict[str, int] = {}
    drift: list[str] = []
    waits: dict[str, float] = {}
    ends: PageEnds | None = None
    quarantine: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Returns the figures as plain data, for XCom and events."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain


def describe_further(endpoint: Endpoint, description: Description) -> list[FurtherOutput]:
    """Returns the outputs at the further destinations of ``endpoint``, with their kinds."""
    return [
        FurtherOutput(
            files=found.parts,
            manifest=found.manifest,
            bytes=sum(part.bytes for part in found.parts),
            destination=kind_name(options),
            conn_id=found.conn_id,
        )
        for options, found in zip(endpoint.all_destinations[1:], description.further, strict=True)
    ]


def add_up_datasets(description: Description) -> dict[str, int]:
    """Returns the URIs of the real objects at all destinations, the first destination's first, with the bytes written."""
    sizes: dict[str, int] = {}
    for each in (description, *description.further):
        if each.dataset is not None:
            written = sum(part.bytes for part in each.parts)
            sizes[each.dataset] = sizes.get(each.dataset, 0) + written
    return sizes


class EndpointTotal(Struct, frozen=True):
    """Figures of all instances of a mapped endpoint together; ``seconds`` adds up their times, ``tasks`` counts them."""

    endpoint: str
    tasks: int
    rows: int
    pages: int
    sequences: int
    bytes: int
    received_bytes: int
    seconds: float
    duplicates: int
    token_refreshes: int
    watermark: str | int | float | None
    interval: list[str] | None
    files: list[Part]
    conn_id: str | None
    warnings: list[str] = []
    destination: str | UnsetType = UNSET
    filtered: int | UnsetType = UNSET
    outside: int | UnsetType = UNSET
    datasets: list[str] | UnsetType = UNSET
    dataset_bytes: list[int] | UnsetType = UNSET
    manifests: list[str] = []
    schema: dict[str, Any] | UnsetType = UNSET
    rejected: int | UnsetType = UNSET
    discarded: dict[str, int] | UnsetType = UNSET
    drift: list[str] | UnsetType = UNSET
    waits: dict[str, float] | UnsetType = UNSET


def add_up(
    endpoint: str,
    summaries: Sequence[EndpointSummary],
    *,
    form: str | Sequence[str] | None = None,
) -> EndpointTotal:
    """Adds up the figures of ``summaries``; the watermark, written in ``form``, is the highest.

    Raises:
        InvalidRecord: the watermarks are of different kinds.
    """
    sizes = {name: 0 for summary in summaries for name in summary.datasets}
    for summary in summaries:
        # A task that an earlier release ran named no sizes.
        for name, size in zip(summary.datasets, summary.dataset_bytes, strict=False):
            sizes[name] += size
    watermark = Watermark("watermark", missing="include", form=form)
    watermark.update([{"watermark": summary.watermark} for summary in summaries])
    return EndpointTotal(
        endpoint=endpoint,
        tasks=len(summaries),
        rows=sum(summary.rows for summary in summaries),
        pages=sum(summary.pages for summary in summaries),
        sequences=sum(summary.sequences for summary in summaries),
        bytes=sum(summary.bytes for summary in summaries),
        received_bytes=sum(summary.received_bytes for summary in summaries),
        seconds=round(sum(summary.seconds for summary in summaries), 3),
        duplicates=sum(summary.duplicates for summary in summaries),
        filtered=sum(summary.filtered for summary in summaries) or UNSET,
        outside=sum(summary.outside for summary in summaries) or UNSET,
        token_refreshes=sum(summary.token_refreshes for summary in summaries),
        watermark=watermark.value,
        interval=summaries[0].interval if summaries else None,
        files=[file for summary in summaries for file in summary.files],
        conn_id=summaries[0].conn_id if summaries else None,
        destination=_kind(summaries),
        datasets=list(sizes) or UNSET,
        dataset_bytes=list(sizes.values()) or UNSET,
        warnings=collect_warnings(summaries),
        manifests=[summary.manifest for summary in summaries],
        waits=add_waits(summary.waits for summary in summaries) or UNSET,
        **add_contract_figures(summaries),
    )


def collect_warnings(summaries: Sequence[EndpointSummary]) -> list[str]:
    """Returns the warnings of all instances of an endpoint, each once, and those about the ends of their pages together."""
    warnings = WarningList()
    ends = [summary.ends for summary in summaries if summary.ends is not None]
    for text in (*judge_ends(ends), *(text for summary in summaries for text in summary.warnings)):
        warnings(text)
    return warnings.texts()


def _kind(summaries: Sequence[EndpointSummary]) -> str | UnsetType:
    """The kind of the destination; left out for the default, as in each summary."""
    kind = summaries[0].destination if summaries else DEFAULT_KIND
    return UNSET if kind == DEFAULT_KIND else kind
