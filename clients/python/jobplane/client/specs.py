"""Messages to build a spec from, under the names that a reader expects.

client.submit(specs.Probe(steps=3))
client.submit(specs.JobSpec(probe=specs.Probe(steps=3), policy=specs.RunPolicy(max_attempts=2)))
"""

from google.protobuf.duration_pb2 import Duration

from jobplane.kinds.answer_run.v1.answer_run_pb2 import AnswerRunSpec as AnswerRun
from jobplane.kinds.autopilot.v1.autopilot_pb2 import AutopilotSpec as Autopilot
from jobplane.kinds.backtest.v1.backtest_pb2 import BacktestSpec as Backtest
from jobplane.kinds.data_science.v1.data_science_pb2 import DataScienceSpec as DataScience
from jobplane.kinds.evaluate.v1.evaluate_pb2 import EvaluateSpec as Evaluate
from jobplane.kinds.fine_tune.v1.fine_tune_pb2 import FineTuneSpec as FineTune
from jobplane.kinds.hpo.v1.hpo_pb2 import HpoSpec as Hpo
from jobplane.kinds.pretrain.v1.pretrain_pb2 import PretrainSpec as Pretrain
from jobplane.kinds.probe.v1.probe_pb2 import ProbeSpec as Probe
from jobplane.kinds.quant_train.v1.quant_train_pb2 import QuantTrainSpec as QuantTrain
from jobplane.kinds.rlhf.v1.rlhf_pb2 import RlhfSpec as Rlhf
from jobplane.kinds.trade_audit.v1.trade_audit_pb2 import TradeAuditSpec as TradeAudit
from jobplane.refs.v1.refs_pb2 import DatasetVersion, ModelRef
from jobplane.v1.spec_pb2 import (
    ArtifactRef,
    Dependency,
    JobSpec,
    ResourceSpec,
    RunPolicy,
)
from jobplane.v1.spec_pb2 import CustomSpec as Custom

__all__ = [
    "AnswerRun",
    "ArtifactRef",
    "Autopilot",
    "Backtest",
    "Custom",
    "DataScience",
    "DatasetVersion",
    "Dependency",
    "Duration",
    "Evaluate",
    "FineTune",
    "Hpo",
    "JobSpec",
    "ModelRef",
    "Pretrain",
    "Probe",
    "QuantTrain",
    "ResourceSpec",
    "Rlhf",
    "RunPolicy",
    "TradeAudit",
]
