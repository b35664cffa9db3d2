"""Options of an audit: the spec with its defaults, checked and frozen."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from jobplane.engine.domain.errors import Violation
from jobplane.engine.domain.job import JobSpec
from jobplane.kinds.trade_audit.v1.trade_audit_pb2 import BiasThresholds, TradeAuditSpec

MAX_REPEAT = 1000
MAX_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Numbers that make a trade a biased one."""

    # None: the median loss of the journal.
    revenge_min_prev_loss: float | None = None
    revenge_window_minutes: float = 15.0
    revenge_size_ratio: float = 2.5
    revenge_median_ratio: float = 2.0
    rolling_trades: int = 50
    rolling_min_trades: int = 5
    overtrading_adaptive: bool = False
    overtrading_max_trades: int = 200
    overtrading_window_minutes: float = 60.0
    overtrading_floor: int = 10
    overtrading_quantile: float = 0.95
    overtrading_cooldown_minutes: float = 30.0
    loss_holding_ratio: float = 8.0
    loss_payoff_ratio: float = 4.0
    near_limit_share: float = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the caller wants, with every default filled in."""

    user_id: str = ""
    daily_max_loss: float | None = None
    k_repeat: int = 1
    max_seconds: float = 120.0
    timezone: str = "UTC"
    # Minutes after local midnight at which a trading day begins.
    day_boundary: int = 0
    # AUTO, DMY, MDY or YMD.
    date_order: str = "AUTO"
    # AUTO, POINT or COMMA.
    decimal: str = "AUTO"
    column_map: Mapping[str, str] = field(default_factory=dict[str, str])
    base_currency: str = ""
    fx: Mapping[str, float] = field(default_factory=dict[str, float])
    thresholds: Thresholds = Thresholds()
    policy_version: str = ""


_DEFAULTS = Options()
# Members of BiasThresholds whose default is a plain number of `Thresholds`.
_NUMBERS = tuple(
    name
    for name in Thresholds.__dataclass_fields__
    if name not in {"revenge_min_prev_loss", "overtrading_adaptive"}
)


def fill_defaults(spec: TradeAuditSpec) -> None:
    """Fill every unset option, in place, but the two that the journal itself decides."""
    for name in ("k_repeat", "max_seconds"):
        if not spec.HasField(name):
            setattr(spec, name, getattr(_DEFAULTS, name))
    spec.timezone = spec.timezone or _DEFAULTS.timezone
    spec.day_boundary = spec.day_boundary or "00:00"
    spec.date_order = spec.date_order or TradeAuditSpec.DATE_ORDER_AUTO
    spec.decimal = spec.decimal or TradeAuditSpec.DECIMAL_MARK_AUTO
    thresholds = spec.thresholds
    thresholds.overtrading_mode = (
        thresholds.overtrading_mode or BiasThresholds.OVERTRADING_MODE_FIXED
    )
    given = {field.name for field, _ in thresholds.ListFields()}
    for name in _NUMBERS:
        if name not in given:
            setattr(thresholds, name, getattr(_DEFAULTS.thresholds, name))


def check(spec: TradeAuditSpec, job: JobSpec) -> Iterable[Violation]:
    """Find what the rules of the contract can't say."""
    del job
    yield from _check_numbers(spec)
    try:
        ZoneInfo(spec.timezone or _DEFAULTS.timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        yield Violation("timezone", f"{spec.timezone!r} is no IANA time zone, as Europe/Paris is")
    if spec.fx and not spec.base_currency:
        yield Violation("base_currency", "must be set where fx is")
    if spec.base_currency and spec.fx.get(spec.base_currency, 1.0) != 1.0:
        yield Violation(f"fx[{spec.base_currency}]", "the base currency is worth 1 of itself")
    sources = sorted(spec.column_map.values())
    for source in sorted({name for name in sources if sources.count(name) > 1}):
        yield Violation("column_map", f"column {source!r} is named more than once")
    thresholds = spec.thresholds
    least = thresholds.rolling_min_trades or _DEFAULTS.thresholds.rolling_min_trades
    if least > (thresholds.rolling_trades or _DEFAULTS.thresholds.rolling_trades):
        yield Violation("thresholds.rolling_min_trades", "must not exceed rolling_trades")


def _check_numbers(spec: TradeAuditSpec) -> Iterator[Violation]:
    """Repeat the bounds of the contract for callers that skip its rules."""
    if spec.HasField("daily_max_loss") and not 0 < spec.daily_max_loss < float("inf"):
        yield Violation("daily_max_loss", "must be greater than 0 and finite")
    if spec.HasField("k_repeat") and not 1 <= spec.k_repeat <= MAX_REPEAT:
        yield Violation("k_repeat", f"must be from 1 to {MAX_REPEAT}")
    if spec.HasField("max_seconds") and not 0 < spec.max_seconds <= MAX_SECONDS:
        yield Violation("max_seconds", f"must be greater than 0 and at most {MAX_SECONDS:g}")


def labels(spec: TradeAuditSpec) -> Mapping[str, str]:
    """Give the label by which a user's audits are listed."""
    return {"user_id": spec.user_id} if spec.user_id else {}


def attempt_timeout_s(spec: TradeAuditSpec) -> float | None:
    """Give the wall-clock limit of an attempt."""
    return spec.max_seconds if spec.HasField("max_seconds") else _DEFAULTS.max_seconds


def read_options(spec: TradeAuditSpec) -> Options:
    """Give the options that a spec means, defaults filled in."""
    filled = TradeAuditSpec()
    filled.CopyFrom(spec)
    fill_defaults(filled)
    hours, minutes = filled.day_boundary.split(":")
    order = TradeAuditSpec.DateOrder.Name(filled.date_order)
    decimal = TradeAuditSpec.DecimalMark.Name(filled.decimal)
    return Options(
        user_id=filled.user_id,
        daily_max_loss=filled.daily_max_loss if filled.HasField("daily_max_loss") else None,
        k_repeat=filled.k_repeat,
        max_seconds=filled.max_seconds,
        timezone=filled.timezone,
        day_boundary=int(hours) * 60 + int(minutes),
        date_order=order.removeprefix("DATE_ORDER_"),
        decimal=decimal.removeprefix("DECIMAL_MARK_"),
        column_map=dict(filled.column_map),
        base_currency=filled.base_currency,
        fx=dict(filled.fx),
        thresholds=_read_thresholds(filled.thresholds),
        policy_version=filled.policy_version,
    )


def _read_thresholds(message: BiasThresholds) -> Thresholds:
    """Give the thresholds of a filled message."""
    least_loss = (
        message.revenge_min_prev_loss if message.HasField("revenge_min_prev_loss") else None
    )
    return Thresholds(
        revenge_min_prev_loss=least_loss,
        overtrading_adaptive=(message.overtrading_mode == BiasThresholds.OVERTRADING_MODE_ADAPTIVE),
        **{name: getattr(message, name) for name in _NUMBERS},
    )
