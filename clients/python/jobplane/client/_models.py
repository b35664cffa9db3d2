"""What can be asked of models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobplane.client._page import Listing
from jobplane.client._requests import chosen, full_name, new_key
from jobplane.client._talk import Talk, ask
from jobplane.v1 import model_service_pb2 as wire

if TYPE_CHECKING:
    from collections.abc import Mapping

STAGES: Mapping[str, wire.ModelStage.ValueType] = {
    name.removeprefix("MODEL_STAGE_").lower(): number
    for name, number in wire.ModelStage.items()
    if number
}
ROLLOUTS: Mapping[str, wire.RolloutStrategy.ValueType] = {
    name.removeprefix("ROLLOUT_STRATEGY_").lower(): number
    for name, number in wire.RolloutStrategy.items()
    if number
}


def listing(*, project: str, where: str) -> Listing[wire.Model]:
    """Versions of models, newest first."""
    return Listing(wire.ListModelsRequest(project=project, filter=where), lambda page: page.models)


def get(model: str, *, project: str) -> Talk[wire.Model]:
    """One version with its lineage."""
    request = wire.GetModelRequest(name=full_name("models", model, project))
    return (yield from ask(request, wire.GetModelResponse)).model


def promote(
    model: str,
    stage: str,
    *,
    project: str,
    approval_ref: str,
    rollout: str,
    canary_percent: int,
    etag: str,
    idempotency_key: str | None,
) -> Talk[wire.Model]:
    """Version, moved to a stage."""
    request = wire.PromoteModelRequest(
        name=full_name("models", model, project),
        target_stage=chosen("target_stage", stage, STAGES),
        approval_ref=approval_ref,
        rollout_strategy=chosen("rollout_strategy", rollout, ROLLOUTS),
        canary_percent=canary_percent,
        etag=etag,
        idempotency_key=idempotency_key or new_key(),
    )
    return (yield from ask(request, wire.PromoteModelResponse)).model


def roll_back(
    model: str, stage: str, *, project: str, reason: str, idempotency_key: str | None
) -> Talk[wire.Model]:
    """Version that is in the stage again."""
    request = wire.RollbackModelRequest(
        name=full_name("models", model, project),
        stage=chosen("stage", stage, STAGES),
        reason=reason,
        idempotency_key=idempotency_key or new_key(),
    )
    return (yield from ask(request, wire.RollbackModelResponse)).model
