"""trade_audit: what biases in a trade journal cost, against a disciplined replay of it.

This module is the light half: it imports no pandas and no pyarrow.
"""

from jobplane.engine.kinds.base import Kind
from jobplane.engine.kinds.trade_audit.options import (
    attempt_timeout_s,
    check,
    fill_defaults,
    labels,
)
from jobplane.kinds.trade_audit.v1.trade_audit_pb2 import TradeAuditResult, TradeAuditSpec

STAGES = ("normalize", "detect", "counterfactual", "grade", "review", "write")

KIND = Kind(
    name="trade_audit",
    description="Audits a trade journal for revenge trading, overtrading and loss aversion, "
    "and replays it with discipline.",
    work="jobplane.engine.kinds.trade_audit.work:run",
    spec=TradeAuditSpec,
    result=TradeAuditResult,
    stages=STAGES,
    required_inputs=("journal",),
    requires=("pandas", "pyarrow"),
    extra="server",
    fill_defaults=fill_defaults,
    check=check,
    labels=labels,
    attempt_timeout_s=attempt_timeout_s,
)
