"""The models commands, against a server that keeps models as a test says."""
# ruff: noqa: N802 - methods have the names of the contract
# ruff: noqa: ARG002 - and its two arguments

import json

import pytest

from jobplane.v1 import model_service_pb2 as wire
from tests.client.fake_server import FakeServer


class ModelServer(FakeServer):
    """A server with one model."""

    def __init__(self):
        super().__init__()
        self.model = wire.Model(
            name="projects/default/models/chat-v2",
            stage=wire.MODEL_STAGE_STAGING,
            gate_passed=True,
            scores={"loss": 0.25},
            lineage=["projects/default/models/chat-v1"],
        )
        change = self.model.history.add(to=wire.MODEL_STAGE_STAGING, actor="ann\x1b[2J")
        change.change_time.FromSeconds(1_700_000_000)
        self._add("jobplane.v1.ModelService", wire)

    def ListModels(self, request, context):
        return wire.ListModelsResponse(models=[self.model])

    def GetModel(self, request, context):
        return wire.GetModelResponse(model=self.model)

    def PromoteModel(self, request, context):
        self.model.stage = request.target_stage
        return wire.PromoteModelResponse(model=self.model)

    def RollbackModel(self, request, context):
        self.model.stage = wire.MODEL_STAGE_ARCHIVED
        return wire.RollbackModelResponse(model=self.model)


@pytest.fixture
def models(monkeypatch):
    with ModelServer() as server:
        monkeypatch.setenv("JOBPLANE_ADDRESS", server.address)
        yield server


@pytest.mark.usefixtures("models")
def test_models_are_listed_and_shown(cli):
    assert cli("models").out.splitlines()[1].split()[:3] == ["chat-v2", "staging", "passed"]
    shown = cli("models", "show", "chat-v2").out
    assert "loss=0.25" in shown
    assert "ann\\x1b[2J" in shown
    assert json.loads(cli("models", "ls", "-o", "json").out)[0]["scores"] == {"loss": 0.25}


def test_a_model_is_promoted_and_rolled_back(cli, models):
    assert cli("models", "promote", "chat-v2", "production", "--dry-run").code == 0
    assert models.requests("PromoteModel") == []
    ran = cli("models", "promote", "chat-v2", "production", "--approval", "CR-1",
              "--rollout", "canary", "--canary-percent", "5")  # fmt: skip
    assert ran.out.splitlines()[1].split()[1] == "production"
    [request] = models.requests("PromoteModel")
    assert (request.approval_ref, request.canary_percent) == ("CR-1", 5)
    assert request.rollout_strategy == wire.ROLLOUT_STRATEGY_CANARY
    back = cli("models", "rollback", "chat-v2", "production", "--reason", "worse")
    assert back.out.splitlines()[1].split()[1] == "archived"


@pytest.mark.usefixtures("models")
def test_a_canary_needs_its_percentage(cli):
    ran = cli("models", "promote", "chat-v2", "staging", "--rollout", "canary")
    assert (ran.code, "--canary-percent" in ran.err) == (2, True)
