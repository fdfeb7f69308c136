"""The destinations of one run: where they are, and the object that the transfer writes to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oauth_taskflow.destinations.base import Destination
from oauth_taskflow.destinations.files import FileDestination
from oauth_taskflow.destinations.quarantine import Quarantine
from oauth_taskflow.destinations.quarantine_folder import QuarantiningDestination
from oauth_taskflow.destinations.requirements import require_libraries
from oauth_taskflow.destinations.several import SeveralDestinations
from oauth_taskflow.engine.output_location import endpoint_facts, locate_output
from oauth_taskflow.specs.model import Endpoint
from oauth_taskflow.specs.rejects import can_reject

if TYPE_CHECKING:
    from oauth_taskflow.engine.run import EndpointRun


def connect_output(run: EndpointRun) -> Destination:
    """Returns the destination that ``run`` writes to; several of a spec are shown as one.

    Raises:
        DestinationError: a library is missing, or a value that came with the run is not a path segment.
        TemplateFailed: a template of a destination fails.
    """
    options = run.endpoint.all_destinations
    for each in options:
        require_libraries(each)
    facts, places = endpoint_facts(run.endpoint), output_locations(run)
    connected = [
        each.connect(place, run.access, facts) for each, place in zip(options, places, strict=True)
    ]
    destination = connected[0] if len(connected) == 1 else SeveralDestinations(connected)
    folder = find_quarantine_folder(run.endpoint)
    # A folder that a user chooses gets all of the run.
    if folder is None or (run.location is not None and isinstance(options[0], FileDestination)):
        return destination
    require_libraries(folder)
    place = locate_output(
        run.endpoint, run.run_id, run.template_context, run.item, run.given, options=folder
    )
    return QuarantiningDestination(destination, folder.connect(place, run.access))


def build_quarantine(run: EndpointRun) -> Quarantine | None:
    """Returns the place where stages put the records that they reject; None for an endpoint that rejects none."""
    if not can_reject(run.endpoint):
        return None
    options = run.endpoint.quarantine
    return Quarantine(run.name, None if options is None else options.max_records)


def find_quarantine_folder(endpoint: Endpoint) -> FileDestination | None:
    """Returns the folder of an endpoint's rejected records, where it is not that of a destination."""
    if endpoint.quarantine is None or not can_reject(endpoint):
        return None
    return endpoint.quarantine.folder


def output_locations(run: EndpointRun) -> list[str]:
    """Returns the places that ``run`` writes to, one for each destination of its endpoint.

    Raises:
        TemplateFailed: a template of a destination fails.
        DestinationError: a value that came with the run is not a path segment.
    """
    options = run.endpoint.all_destinations
    if run.location is not None:
        assert len(options) == 1  # who chooses the place chooses one destination
        return [run.location]
    return [
        locate_output(
            run.endpoint, run.run_id, run.template_context, run.item, run.given, options=each
        )
        for each in options
    ]
