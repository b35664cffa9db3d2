"""The schedules commands: ls, show, create, update, pause, resume, delete, trigger, preview."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from jobplane.cli.exits import Exit
from jobplane.cli.follow import Span
from jobplane.cli.groups import DefaultGroup
from jobplane.cli.parameters import build_spec
from jobplane.cli.session import Session, plain, with_session
from jobplane.cli.sheet import Sheet
from jobplane.cli.submit import labels_of
from jobplane.cli.table import table
from jobplane.cli.units import span
from jobplane.client._event import instant
from jobplane.client._schedules import OVERLAPS
from jobplane.v1 import schedule_service_pb2 as wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.protobuf.timestamp_pb2 import Timestamp

_Command = TypeVar("_Command", bound="Callable[..., Any]")
SHOWN_IN_SHORT = 5


def _moment(ctx: click.Context, param: click.Parameter, value: str | None) -> datetime | None:
    """Aware time of text like 2026-03-29T02:30:00+01:00; without a zone it is UTC."""
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError as error:
        text = f"{value!r} is no time; write for example 2026-03-29T02:30"
        raise click.BadParameter(text, ctx, param) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


_WHEN = (
    click.option("--time-zone", help="IANA zone, default UTC."),
    click.option("--overlap", type=click.Choice(OVERLAPS), help="While a job is not finished."),
    click.option("--catchup-window", type=Span(), help="How late a missed fire may still run."),
    click.option("--jitter", type=Span(), help="Delay each fire by up to so much."),
    click.option("--pause-after-failures", type=click.IntRange(0, 1000), help="In a row."),
)
_WHAT = (
    click.option("--kind", default="", help="Kind; FILE and -p then hold its parameters alone."),
    click.option("-p", "parameters", multiple=True, metavar="PATH=VALUE", help="Parameter."),
    click.option("--set", "settings", multiple=True, metavar="PATH=VALUE", help="Part of spec."),
    click.option("--queue", default="", help="Queue of the jobs."),
    click.option("--job-set", default="", help="Group of the jobs."),
    click.option("--priority", type=click.IntRange(0, 1000), help="0 to 1000, default 500."),
    click.option("--label", "labels", multiple=True, metavar="K=V", help="Label of the jobs."),
    click.option("--display-name", default="", help="Name of the jobs for people."),
)


def _options(command: _Command) -> _Command:
    """Give a command what a create and an update have in common."""
    given: Any = command
    for option in reversed((*_WHEN, *_WHAT)):
        given = option(given)
    return cast("_Command", given)


@click.group(cls=DefaultGroup)
def schedules() -> None:
    """Submit jobs by the clock."""


@schedules.command()
@with_session
def ls(session: Session) -> int:
    """List schedules."""
    _SHEET.write(session, session.client.schedules())
    return Exit.OK


@schedules.command()
@click.argument("schedule")
@with_session
def show(session: Session, *, schedule: str) -> int:
    """Tell everything about SCHEDULE: its next times, its last fires, its last jobs."""
    _write(session, session.client.schedule(schedule), full=True)
    return Exit.OK


@schedules.command()
@click.argument("schedule")
@click.argument("file", required=False)
@click.option("--cron", required=True, help='Five fields, for example "0 6 * * MON-FRI".')
@_options
@click.option("--paused", is_flag=True, help="Fire by trigger alone, for now.")
@with_session
def create(session: Session, *, schedule: str, file: str | None, **given: Any) -> int:
    """Make SCHEDULE, of jobs from FILE (JSON or TOML, - for stdin), or from --kind and -p."""
    spec = _spec(file, given)
    made = session.client.create_schedule(schedule, spec, **_said(given))
    _write(session, made)
    session.say_next(f"jobplane schedules show {schedule}")
    return Exit.OK


@schedules.command()
@click.argument("schedule")
@click.argument("file", required=False)
@click.option("--cron", help='Five fields, for example "0 6 * * MON-FRI".')
@_options
@click.option("--etag", default="", help="Change only what is still as it was shown.")
@with_session
def update(session: Session, *, schedule: str, file: str | None, etag: str, **given: Any) -> int:
    """Change SCHEDULE in what is given; a spec replaces all that is said of the jobs."""
    has_spec = bool(file or given["kind"])
    spec = _spec(file, given) if has_spec else None
    if not has_spec:
        for name, option in (("parameters", "-p"), ("settings", "--set")):
            if given.pop(name):
                raise click.UsageError(f"{option} needs FILE or --kind: the spec is replaced")
        del given["kind"]
    said = _said(given)
    if not (said or has_spec):
        raise click.UsageError("nothing to change")
    _write(session, session.client.update_schedule(schedule, spec, etag=etag, **said))
    return Exit.OK


@schedules.command()
@click.argument("schedule")
@click.option("--reason", default="", help="Why, for those who wonder later.")
@with_session
def pause(session: Session, *, schedule: str, reason: str) -> int:
    """Let SCHEDULE fire by trigger alone."""
    changed = session.client.update_schedule(schedule, paused=True, pause_reason=reason)
    _write(session, changed)
    return Exit.OK


@schedules.command()
@click.argument("schedule")
@with_session
def resume(session: Session, *, schedule: str) -> int:
    """Let SCHEDULE fire by the clock again, from now on."""
    _write(session, session.client.update_schedule(schedule, paused=False))
    return Exit.OK


@schedules.command()
@click.argument("schedule")
@with_session
def delete(session: Session, *, schedule: str) -> int:
    """Remove SCHEDULE; its jobs stay."""
    session.client.delete_schedule(schedule)
    session.say(f"schedule {schedule} is gone; its jobs are not")
    return Exit.OK


@schedules.command()
@click.argument("schedule")
@click.option("--key", "idempotency_key", help="Idempotency key; a repeat makes no second job.")
@with_session
def trigger(session: Session, *, schedule: str, idempotency_key: str | None) -> int:
    """Submit a job of SCHEDULE now, paused or not."""
    job = session.client.trigger_schedule(schedule, idempotency_key=idempotency_key)
    if session.is_json:
        session.write_json({"job": plain(job.wire), "deduplicated": job.deduplicated})
    elif session.output == "name":
        session.write(job.name)
    elif session.quiet:
        session.write(job.id)
    else:
        session.write(f"job {job.id}  kind={job.kind}  schedule={schedule}")
        session.say_next(f"jobplane watch {job.id}")
    return Exit.OK


@schedules.command()
@click.argument("cron")
@click.option("--time-zone", default="", help="IANA zone, default UTC.")
@click.option("-n", "--count", type=click.IntRange(1, 100), default=5, help="How many times.")
@click.option("--after", callback=_moment, help="First moment to look at, default now.")
@with_session
def preview(session: Session, *, cron: str, **given: Any) -> int:
    """Print the next times of CRON, for example "0 6 * * MON-FRI"; nothing is stored."""
    times = session.client.preview_schedule(cron, **given)
    if session.is_json:
        session.write_json([_utc(moment) for moment in times])
    else:
        for moment in times:
            session.write(_utc(moment))
    if not times:
        session.say("there is no such time to come")
    return Exit.OK


def _spec(file: str | None, given: dict[str, Any]) -> dict[str, Any]:
    return build_spec(
        file=file,
        kind=given.pop("kind"),
        parameters=given.pop("parameters"),
        settings=given.pop("settings"),
    )


def _said(given: dict[str, Any]) -> dict[str, Any]:
    """Keywords of the client for the options that were given."""
    labels = labels_of(given.pop("labels"))
    said = {name: value for name, value in given.items() if value not in {None, ""}}
    return {**said, "labels": labels} if labels else said


def _write(session: Session, schedule: wire.Schedule, *, full: bool = False) -> None:
    if session.is_json:
        session.write_json(plain(schedule))
    elif session.output == "name" or session.quiet:
        session.write(schedule.name if session.output == "name" else _id(schedule))
    else:
        zone = schedule.time_zone
        session.write(f"schedule {_id(schedule)}  {schedule.cron}  {zone}  {_state(schedule)}")
        if full:
            _write_rest(session, schedule)
        else:
            session.write(f"next: {_next(schedule)}")


def _write_rest(session: Session, schedule: wire.Schedule) -> None:
    window, jitter = schedule.catchup_window.ToTimedelta(), schedule.jitter.ToTimedelta()
    template = schedule.template
    facts = {
        "kind": template.spec.WhichOneof("kind") or "-",
        "queue": template.queue or "default",
        "overlap": _name(wire.OverlapPolicy, schedule.overlap_policy, "OVERLAP_POLICY_"),
        "catch-up window": span(window),
        "jitter": span(jitter),
        "pause after failures": str(schedule.pause_after_failures or "never"),
        "creator": schedule.creator,
        "etag": schedule.etag,
    }
    for name, value in facts.items():
        session.write(f"{name}: {value}")
    for moment in schedule.next_times:
        session.write(f"next: {_time(moment)}")
    if schedule.recent_fires:
        rows = [_fire_row(fire) for fire in schedule.recent_fires]
        session.write(table(("FIRE", "OUTCOME", "JOB", "WHY"), rows))
    others = [name for name in schedule.recent_jobs if name not in _told(schedule)]
    for name in others[:SHOWN_IN_SHORT]:
        session.write(f"job: {name.rpartition('/')[2]}")


def _told(schedule: wire.Schedule) -> set[str]:
    return {fire.job for fire in schedule.recent_fires}


def _fire_row(fire: wire.ScheduleFire) -> tuple[str, str, str, str]:
    nominal = _time(fire.nominal_time)
    if fire.HasField("last_nominal_time"):
        nominal = f"{nominal} to {_time(fire.last_nominal_time)}"
    why = " ".join(part for part in (fire.reason, fire.message) if part)
    return nominal, _outcome(fire), fire.job.rpartition("/")[2] or "-", why or "-"


def _id(schedule: wire.Schedule) -> str:
    return schedule.name.rpartition("/")[2]


def _state(schedule: wire.Schedule) -> str:
    if not schedule.paused:
        return "active"
    return f"paused: {schedule.pause_reason}" if schedule.pause_reason else "paused"


def _next(schedule: wire.Schedule) -> str:
    return _time(schedule.next_times[0]) if schedule.next_times else "-"


def _last(schedule: wire.Schedule) -> str:
    if not schedule.recent_fires:
        return "-"
    fire = schedule.recent_fires[0]
    return f"{_outcome(fire)} {_time(fire.nominal_time)}"


def _outcome(fire: wire.ScheduleFire) -> str:
    return _name(wire.ScheduleFire.Outcome, fire.outcome, "OUTCOME_")


def _name(enum: Any, number: int, prefix: str) -> str:
    """Name of an enum's value; of one that is newer than this client, its number."""
    if number not in enum.values():
        return str(number)
    return str(enum.Name(number)).removeprefix(prefix).lower()


def _time(moment: Timestamp) -> str:
    return _utc(instant(moment))


def _utc(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


_SHEET: Sheet[wire.Schedule] = Sheet(
    headers=("SCHEDULE", "CRON", "ZONE", "STATE", "NEXT", "LAST FIRE"),
    row=lambda one: (_id(one), one.cron, one.time_zone, _state(one), _next(one), _last(one)),
    name=lambda one: one.name,
    short=_id,
    wire=lambda one: one,
    spare=("ZONE", "LAST FIRE"),
)
