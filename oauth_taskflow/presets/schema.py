"""The JSON Schema of the preset format, generated from the model."""

from __future__ import annotations

from oauth_taskflow.presets.model import Preset
from oauth_taskflow.schema.json_schema import Schema, describe_model


def preset_schema() -> Schema:
    """The schema of one preset file."""
    definitions = describe_model(Preset)
    root = definitions.pop("Preset")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:oauth-taskflow:preset:1",
        **root,
        "$defs": definitions,
    }
