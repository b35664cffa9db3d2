"""Possibility: whether a job may ever have satisfied an expression, whatever it was before."""

from jobplane.engine.domain.job import Job
from jobplane.engine.query.evaluate import evaluate
from jobplane.engine.query.expression import (
    And,
    Comparison,
    Everything,
    Expression,
    Not,
    Or,
    Present,
)

# What a job is submitted with and keeps for good.
_LASTING = frozenset(
    {"kind", "project", "job_set", "creator", "schedule", "display_name", "create_time"}
)


def may_have_matched(expression: Expression, job: Job) -> bool:
    """False only where the fields that never change rule it out."""
    return _verdict(expression, job) is not False


def _verdict(expression: Expression, job: Job) -> bool | None:
    """Whether it holds; None where that depends on what may change."""
    match expression:
        case Everything():
            return True
        case Comparison(field=field):
            return evaluate(expression, job) if field.name in _LASTING else None
        case Present():
            return None
        case Not(term):
            verdict = _verdict(term, job)
            return None if verdict is None else not verdict
        case Or(terms):
            return _any([_verdict(term, job) for term in terms])
        case And(terms):
            negated = [_verdict(Not(term), job) for term in terms]
            verdict = _any(negated)
            return None if verdict is None else not verdict


def _any(verdicts: list[bool | None]) -> bool | None:
    if True in verdicts:
        return True
    return None if None in verdicts else False
