"""Schemas: which fields a filter may name, and what each of them holds."""

from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum

from jobplane.engine.domain.artifact import ArtifactType
from jobplane.engine.domain.job import FailureCategory
from jobplane.engine.domain.status import JobStatus, Phase


class FieldType(StrEnum):
    """What a field holds, and so which operators and values it takes."""

    STRING = "text"
    ENUM = "one of a few names"
    BOOL = "true or false"
    INT = "a whole number"
    FLOAT = "a number"
    TIME = "a time"


class Operator(StrEnum):
    """How a field is compared with a value."""

    EQ = "="
    NE = "!="
    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="
    HAS = ":"


EQUALITY = frozenset({Operator.EQ, Operator.NE})
_ORDERED = frozenset(Operator) - {Operator.HAS}
_OPERATORS = {
    FieldType.STRING: frozenset(Operator),
    FieldType.ENUM: EQUALITY,
    FieldType.BOOL: EQUALITY,
    FieldType.INT: _ORDERED,
    FieldType.FLOAT: _ORDERED,
    FieldType.TIME: _ORDERED,
}


@dataclass(frozen=True, slots=True)
class Field:
    """One thing that a filter may ask about."""

    name: str
    type: FieldType
    # The names of an enum; "" among them means "none".
    values: tuple[str, ...] = ()
    # A map is asked by key: `labels.team`.
    is_map: bool = False
    # Whether `=` takes a trailing `*`.
    takes_prefix: bool = False

    @property
    def usage(self) -> str:
        """How the field is written in a filter."""
        return f"{self.name}.KEY" if self.is_map else self.name

    @property
    def operators(self) -> tuple[Operator, ...]:
        """What the field, or a value of the map, may be compared with."""
        return tuple(operator for operator in Operator if operator in _OPERATORS[self.type])


@dataclass(frozen=True, slots=True)
class Schema:
    """The fields of one collection."""

    fields: tuple[Field, ...]

    def find(self, name: str) -> Field | None:
        """The field of that name."""
        return next((field for field in self.fields if field.name == name), None)

    def suggest(self, name: str) -> str:
        """Words that help someone who wrote a field that is not there."""
        names = {field.name: field.usage for field in self.fields}
        close = get_close_matches(name.lower(), names, n=1)
        hint = f"did you mean {names[close[0]]}? " if close else ""
        return f"{hint}Fields: {', '.join(names.values())}"


def _strings(*names: str) -> tuple[Field, ...]:
    return tuple(Field(name, FieldType.STRING) for name in names)


LABELS = Field("labels", FieldType.STRING, is_map=True)

JOB_FIELDS = Schema(
    (
        Field("kind", FieldType.STRING),
        Field("status", FieldType.ENUM, values=tuple(JobStatus)),
        Field("phase", FieldType.ENUM, values=tuple(Phase)),
        Field("done", FieldType.BOOL),
        *_strings("project", "queue", "job_set", "creator"),
        Field("priority", FieldType.INT),
        Field("attempt", FieldType.INT),
        *_strings("schedule", "failure.reason"),
        Field("failure.category", FieldType.ENUM, values=(*FailureCategory, "")),
        Field("display_name", FieldType.STRING, takes_prefix=True),
        LABELS,
        Field("metrics", FieldType.FLOAT, is_map=True),
        Field("create_time", FieldType.TIME),
        Field("start_time", FieldType.TIME),
        Field("finish_time", FieldType.TIME),
        Field("update_time", FieldType.TIME),
    )
)

ARTIFACT_FIELDS = Schema(
    (
        Field("artifact_id", FieldType.STRING),
        Field("type", FieldType.ENUM, values=tuple(ArtifactType)),
        Field("media_type", FieldType.STRING),
        Field("stage", FieldType.STRING),
        Field("attempt", FieldType.INT),
        Field("size_bytes", FieldType.INT),
        Field("create_time", FieldType.TIME),
        LABELS,
    )
)

DATASET_FIELDS = Schema(
    (
        *_strings("dataset_id", "version", "format", "media_type", "sha256"),
        Field("size_bytes", FieldType.INT),
        LABELS,
        Field("create_time", FieldType.TIME),
    )
)

MODEL_FIELDS = Schema(
    (
        Field("family", FieldType.STRING),
        Field(
            "stage",
            FieldType.ENUM,
            values=("CANDIDATE", "STAGING", "PRODUCTION", "ARCHIVED"),
        ),
        Field("job", FieldType.STRING),
        Field("gate_passed", FieldType.BOOL),
        Field("scores", FieldType.FLOAT, is_map=True),
    )
)
