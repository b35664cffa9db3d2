"""The models commands: ls, show, promote, rollback."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from jobplane.cli.exits import Exit
from jobplane.cli.groups import DefaultGroup
from jobplane.cli.lines import metrics_text
from jobplane.cli.session import Session, plain, with_session
from jobplane.cli.sheet import Sheet
from jobplane.cli.table import table
from jobplane.cli.units import age
from jobplane.client._event import instant
from jobplane.client._models import ROLLOUTS, STAGES
from jobplane.v1 import model_service_pb2 as wire

if TYPE_CHECKING:
    from collections.abc import Mapping

DRY_RUN = click.option("--dry-run", is_flag=True, help="Only tell what would change.")
_STAGE_NAMES: Mapping[int, str] = {number: name for name, number in STAGES.items()}


@click.group(cls=DefaultGroup)
def models() -> None:
    """Show trained models, and move them between stages."""


@models.command()
@click.option("--filter", "where", default="", help="For example: stage = PRODUCTION")
@with_session
def ls(session: Session, *, where: str) -> int:
    """List the versions of all models, newest first."""
    _SHEET.write(session, session.client.models(where))
    return Exit.OK


@models.command()
@click.argument("model")
@with_session
def show(session: Session, *, model: str) -> int:
    """Tell everything about one version: scores, lineage, and who moved it when."""
    found = session.client.model(model)
    if session.is_json:
        session.write_json(plain(found))
        return Exit.OK
    facts = {
        "model": _short(found),
        "stage": _stage(found.stage),
        "gate": "passed" if found.gate_passed else "not passed",
        "scores": metrics_text(found.scores),
        "job": found.job,
        "artifact": found.artifact,
        "base": found.base_model,
        "lineage": " <- ".join(found.lineage),
        "etag": found.etag,
    }
    for name, value in facts.items():
        if value:
            session.write_folded(f"{name:<10}{value}", indent=10)
    if found.history:
        rows = [_change(change) for change in found.history]
        session.write(table(("WHEN", "FROM", "TO", "BY", "APPROVAL", "WHY"), rows))
    return Exit.OK


@models.command()
@click.argument("model")
@click.argument("stage", type=click.Choice(tuple(STAGES)))
@click.option("--approval", "approval_ref", default="", help="Reference; a must for production.")
@click.option("--rollout", type=click.Choice(tuple(ROLLOUTS)), default="instant", show_default=True)
@click.option("--canary-percent", type=click.IntRange(1, 50), help="With --rollout canary.")
@click.option("--etag", default="", help="Change only what is still as it was shown.")
@click.option("--key", "idempotency_key", help="Idempotency key; a repeat changes nothing.")
@DRY_RUN
@with_session
def promote(
    session: Session,
    *,
    model: str,
    stage: str,
    approval_ref: str,
    rollout: str,
    canary_percent: int | None,
    etag: str,
    idempotency_key: str | None,
    dry_run: bool,
) -> int:
    """Move MODEL to STAGE."""
    if (rollout == "canary") != (canary_percent is not None):
        raise click.UsageError("--canary-percent and --rollout canary go together")
    if dry_run:
        _SHEET.write(session, [session.client.model(model)])
        session.say(f"would be moved to {stage}: --dry-run")
        return Exit.OK
    moved = session.client.promote_model(
        model,
        stage,
        approval_ref=approval_ref,
        rollout=rollout,
        canary_percent=canary_percent or 0,
        etag=etag,
        idempotency_key=idempotency_key,
    )
    _SHEET.write(session, [moved])
    return Exit.OK


@models.command()
@click.argument("model")
@click.argument("stage", type=click.Choice(tuple(STAGES)))
@click.option("--reason", default="", help="Kept in the history.")
@click.option("--key", "idempotency_key", help="Idempotency key; a repeat changes nothing.")
@DRY_RUN
@with_session
def rollback(
    session: Session,
    *,
    model: str,
    stage: str,
    reason: str,
    idempotency_key: str | None,
    dry_run: bool,
) -> int:
    """Put back the version that was in STAGE before MODEL."""
    if dry_run:
        _SHEET.write(session, [session.client.model(model)])
        session.say(f"would leave {stage} to the one before it: --dry-run")
        return Exit.OK
    back = session.client.rollback_model(
        model, stage, reason=reason, idempotency_key=idempotency_key
    )
    _SHEET.write(session, [back])
    return Exit.OK


def _short(model: wire.Model) -> str:
    return model.name.rpartition("/")[2]


def _stage(number: int) -> str:
    return _STAGE_NAMES.get(number, "-")


def _row(model: wire.Model) -> tuple[str, ...]:
    return (
        _short(model),
        _stage(model.stage),
        "passed" if model.gate_passed else "-",
        age(instant(model.create_time)),
        model.job.rpartition("/")[2] or "-",
        metrics_text(model.scores),
    )


def _change(change: wire.Model.StageChange) -> tuple[str, ...]:
    return (
        f"{instant(change.change_time):%Y-%m-%dT%H:%M:%SZ}",
        _stage(getattr(change, "from")),
        _stage(change.to),
        change.actor,
        change.approval_ref or "-",
        change.reason or "-",
    )


_SHEET: Sheet[wire.Model] = Sheet(
    headers=("MODEL", "STAGE", "GATE", "AGE", "JOB", "SCORES"),
    row=_row,
    name=lambda model: model.name,
    short=_short,
    wire=lambda model: model,
    spare=("JOB", "AGE", "GATE"),
)
