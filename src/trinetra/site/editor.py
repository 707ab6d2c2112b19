"""JSON Schema of the site file, for completion and checks in editors."""

import json
from typing import Any

from trinetra.site.schema import Site


def json_schema() -> dict[str, Any]:
    """Return the site file's JSON Schema (draft 2020-12)."""
    schema = Site.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def schema_text() -> str:
    """Return the JSON Schema as the text of ``docs/site.schema.json``."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"
