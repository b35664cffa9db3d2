"""Schedules: to the wire and from it, held to the rules of what they will submit."""

from jobplane.engine.domain.errors import InvalidSpecError, Violation
from jobplane.engine.domain.schedule import (
    DEFAULT_CATCHUP_S,
    DEFAULT_ZONE,
    Fire,
    FireOutcome,
    OverlapPolicy,
    Plan,
)
from jobplane.engine.schedules.book import Shown
from jobplane.service.convert.scalar import (
    EnumMap,
    duration_from_wire,
    duration_to_wire,
    moment_to_wire,
    timestamp_to_wire,
)
from jobplane.service.convert.submission import submission_from_wire, submission_to_wire
from jobplane.service.rpc.decoding import rule_violations
from jobplane.v1 import job_service_pb2
from jobplane.v1 import schedule_service_pb2 as wire

_POLICIES = EnumMap(wire.OverlapPolicy, OverlapPolicy, "OVERLAP_POLICY_")
_OUTCOMES = EnumMap(wire.ScheduleFire.Outcome, FireOutcome, "OUTCOME_")
_SCHEDULE = "schedule."
_TEMPLATE = f"{_SCHEDULE}template"
# What the schedule itself says for every job.
_OURS = ("idempotency_key", "job_id", "validate_only")


def plan_from_wire(schedule: wire.Schedule, project: str) -> Plan:
    """Give the plan; raises InvalidSpecError with every rule that it or its template breaks."""
    template = job_service_pb2.SubmitJobRequest()
    template.CopyFrom(schedule.template)
    violations = [
        Violation(f"{_SCHEDULE}{one.field}", one.description) for one in rule_violations(schedule)
    ]
    violations += _template_violations(schedule, template, project)
    if violations:
        raise InvalidSpecError(violations)
    has_window = schedule.HasField("catchup_window")
    return Plan(
        cron=schedule.cron,
        time_zone=schedule.time_zone or DEFAULT_ZONE,
        overlap=_POLICIES.from_wire(schedule.overlap_policy, OverlapPolicy.SKIP),
        catchup_s=duration_from_wire(schedule.catchup_window) if has_window else DEFAULT_CATCHUP_S,
        jitter_s=duration_from_wire(schedule.jitter),
        template=submission_from_wire(template, ""),
        paused=schedule.paused,
        pause_reason=schedule.pause_reason,
        pause_after_failures=schedule.pause_after_failures,
    )


def _template_violations(
    schedule: wire.Schedule, template: job_service_pb2.SubmitJobRequest, project: str
) -> list[Violation]:
    """Everything that a submit of the template would refuse; fills its project in."""
    if not schedule.HasField("template"):
        return [Violation(_TEMPLATE, "must be given")]
    if template.project not in {"", project}:
        return [Violation(f"{_TEMPLATE}.project", f"must be {project!r} or empty")]
    template.project = project
    violations = [
        Violation(f"{_TEMPLATE}.{name}", "must be unset: the schedule sets it for each job")
        for name in _OURS
        if getattr(template, name)
    ]
    return violations + [
        Violation(f"{_TEMPLATE}.{one.field}", one.description) for one in rule_violations(template)
    ]


def schedule_to_wire(shown: Shown) -> wire.Schedule:
    """Give the schedule as it goes out."""
    schedule, plan = shown.schedule, shown.schedule.plan
    return wire.Schedule(
        name=schedule.name,
        cron=plan.cron,
        time_zone=plan.time_zone,
        overlap_policy=_POLICIES.to_wire(plan.overlap),
        catchup_window=duration_to_wire(plan.catchup_s),
        jitter=duration_to_wire(plan.jitter_s),
        template=submission_to_wire(plan.template),
        paused=plan.paused,
        pause_reason=plan.pause_reason,
        pause_after_failures=plan.pause_after_failures,
        next_times=[moment_to_wire(moment) for moment in shown.next_times],
        recent_jobs=shown.recent_jobs,
        etag=schedule.etag,
        create_time=timestamp_to_wire(schedule.created_at),
        update_time=timestamp_to_wire(schedule.updated_at),
        creator=schedule.creator,
        recent_fires=[fire_to_wire(fire) for fire in schedule.fires],
    )


def fire_to_wire(fire: Fire) -> wire.ScheduleFire:
    """Give the decision as it goes out."""
    return wire.ScheduleFire(
        nominal_time=timestamp_to_wire(fire.nominal_at),
        last_nominal_time=timestamp_to_wire(fire.last_nominal_at),
        decide_time=timestamp_to_wire(fire.decided_at),
        outcome=_OUTCOMES.to_wire(fire.outcome),
        job=fire.job,
        reason=fire.reason,
        message=fire.message,
    )
