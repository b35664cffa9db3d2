"""What the server knows of the kind: a description, a schema, and where the work is.

The server imports this module, so it imports nothing heavy; `work` is imported by children.
"""

from jobplane.engine.domain.job import RunPolicy
from jobplane.engine.kinds.base import Kind

SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {
        "names": {
            "type": "array",
            "items": {"type": "string", "minLength": 1, "maxLength": 100},
            "minItems": 1,
            "maxItems": 10_000,
            "description": "Who is to be greeted, in this order.",
        },
        "greeting": {"type": "string", "default": "Hello", "maxLength": 100},
        "pause_s": {
            "type": "number",
            "minimum": 0,
            "maximum": 60,
            "default": 0,
            "description": "Seconds to wait before each greeting.",
        },
    },
    "required": ["names"],
    "additionalProperties": False,
}

KIND = Kind(
    name="hello",
    description="Greets everybody on a list and keeps the greetings as a table.",
    work="hello_kind.work:run",
    schema=SCHEMA,
    schema_version="1",
    stages=("greet", "write"),
    pausable=True,
    checkpointing=True,
    policy=RunPolicy(max_attempts=3),
    stall_timeout_s=120.0,
)
