"""Where a run writes: the destination's templates with the values of the run."""

from __future__ import annotations

from oauth_taskflow.destinations.files import FileDestination
from oauth_taskflow.engine.for_each import Slice
from oauth_taskflow.engine.output_location import locate_output, locate_outputs
from oauth_taskflow.specs.model import Endpoint, ForEachOptions

ENDPOINT = Endpoint(
    destination=FileDestination(path="/lake/{{ region }}/{{ endpoint }}/"),
    for_each={"region": ["eu", "us"], "contact": ForEachOptions(endpoint="contacts")},
)
CONTEXT = {"endpoint": "notes"}


def test_each_run_has_a_separate_place() -> None:
    item = {"region": Slice(value="eu"), "contact": Slice(file="x", take=2)}
    place = locate_output(ENDPOINT, "manual__1/2", CONTEXT, item)
    assert place == "/lake/eu/notes/run_id=manual__1%2F2"


def test_the_places_of_a_run_are_known_without_its_parent_records() -> None:
    assert locate_outputs(ENDPOINT, "r", CONTEXT) == [
        "/lake/eu/notes/run_id=r",
        "/lake/us/notes/run_id=r",
    ]
