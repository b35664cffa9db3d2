"""Times, spans and enum values."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, TypeVar

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from jobplane.engine.domain.errors import InvalidSpecError, Violation

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NANOS = 1_000_000_000

E = TypeVar("E", bound=StrEnum)
T = TypeVar("T")
W = TypeVar("W")


def timestamp_to_wire(moment: datetime | None) -> Timestamp | None:
    """Give the moment, to the microsecond; None stays None, which is an unset field."""
    return None if moment is None else moment_to_wire(moment)


def moment_to_wire(moment: datetime) -> Timestamp:
    """Give the moment, to the microsecond."""
    span = moment - _EPOCH
    return Timestamp(seconds=span.days * 86400 + span.seconds, nanos=span.microseconds * 1000)


def timestamp_from_wire(value: Timestamp, field: str) -> datetime:
    """Give the moment; raises when it is outside of the years 1 to 9999."""
    try:
        return _EPOCH + timedelta(seconds=value.seconds, microseconds=value.nanos // 1000)
    except OverflowError:
        text = "is outside of the years 1 to 9999"
        raise InvalidSpecError([Violation(field, text)]) from None


def duration_to_wire(seconds: float | None) -> Duration | None:
    """Give the span, to the nanosecond; None stays None, which is an unset field."""
    if seconds is None:
        return None
    whole, nanos = divmod(round(abs(seconds) * _NANOS), _NANOS)
    sign = -1 if seconds < 0 else 1
    return Duration(seconds=sign * whole, nanos=sign * nanos)


def duration_from_wire(value: Duration) -> float:
    """Give the span in seconds."""
    # One division of whole numbers rounds once, so that a span comes back as it went.
    return (value.seconds * _NANOS + value.nanos) / _NANOS


def optional(value: T | None, convert: Callable[[T], W]) -> W | None:
    """Convert what is there; None stays None, which is an unset field."""
    return None if value is None else convert(value)


class EnumMap:
    """A wire enum and a domain enum with the same names, the wire's under a prefix."""

    # At run time a wire enum is a wrapper with Value(); its stub says it is a class.
    def __init__(self, wire: Any, domain: type[StrEnum], prefix: str) -> None:
        self._to_wire = {value: wire.Value(prefix + value.value) for value in domain}
        self._from_wire = {number: value for value, number in self._to_wire.items()}

    def to_wire(self, value: StrEnum) -> Any:
        """Number of a domain value."""
        return self._to_wire[value]

    def from_wire(self, number: int, default: E) -> E:
        """Domain value of a number; an unset or unknown one is the default."""
        found: Any = self._from_wire.get(number, default)
        return found  # type: ignore[no-any-return]  # the map holds values of one enum
