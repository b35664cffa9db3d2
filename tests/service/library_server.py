"""A real server over a real engine whose probes run in threads, and calls to its library."""

import hashlib
from pathlib import Path
from typing import Any

import grpc

from jobplane.engine.domain.artifact import Artifact, ArtifactType
from jobplane.engine.executors.settings import ExecutorSettings, ThreadSettings
from jobplane.engine.executors.threads import ThreadExecutor
from jobplane.engine.house import House
from jobplane.engine.kinds.registry import Registry
from jobplane.engine.settings import EngineSettings
from jobplane.engine.store import artifacts, jobs
from jobplane.kinds.probe.v1 import probe_pb2
from jobplane.service.rpc.auth import DevAuthenticator
from jobplane.service.server import Server
from jobplane.service.settings import ServiceSettings
from jobplane.service.system import ServerFacts
from jobplane.v1 import (
    artifact_service_pb2,
    artifact_service_pb2_grpc,
    dataset_service_pb2_grpc,
    job_service_pb2,
    job_service_pb2_grpc,
)
from tests.service.fake_engine import START
from tests.service.loop_thread import LoopThread
from tests.service.running_server import Refused

CALL_TIMEOUT_S = 20.0
CHUNK_BYTES = 256 * 1024


class LibraryServer:
    def __init__(self, thread: LoopThread, data_dir: Path, **settings: Any) -> None:
        self._thread = thread
        registry = Registry.discover()
        threads = ThreadExecutor(registry, ExecutorSettings(threads=ThreadSettings(slots=2)))
        engine_settings = EngineSettings(data_dir, **settings)
        self.house = House(engine_settings, registry=registry, executors={"THREAD": threads})
        self.server = Server(
            ServiceSettings(port=0, dev=True),
            self.house,
            ServerFacts("1.2.3", "local", "sqlite", START),
            DevAuthenticator(),
        )
        port = thread.run(self.server.start())
        self.data_dir = data_dir
        self.address = f"127.0.0.1:{port}"
        self.channel = grpc.insecure_channel(self.address)
        self.artifacts = artifact_service_pb2_grpc.ArtifactServiceStub(self.channel)
        self.datasets = dataset_service_pb2_grpc.DatasetServiceStub(self.channel)
        self.jobs = job_service_pb2_grpc.JobServiceStub(self.channel)

    def close(self) -> None:
        self.channel.close()
        self._thread.run(self.server.stop())

    def run(self, coroutine: Any) -> Any:
        return self._thread.run(coroutine)

    def upload(self, content: bytes, *, project: str = "demo", chunk: int = CHUNK_BYTES, **header):
        """Upload with digest and size declared, unless said otherwise."""
        header.setdefault("sha256", sha256_of(content))
        header.setdefault("size_bytes", len(content))
        sent = content[header.get("offset", 0) :]
        parts = [sent[at : at + chunk] for at in range(0, len(sent), chunk)]
        return self.send(parts, project=project, **header)

    def send(self, parts, *, project: str = "demo", **header):
        """Upload exactly these chunks under exactly this header."""
        first = artifact_service_pb2.UploadArtifactRequest(
            header=artifact_service_pb2.UploadArtifactRequest.Header(project=project, **header)
        )
        rest = (artifact_service_pb2.UploadArtifactRequest(chunk=part) for part in parts)
        requests = iter([first, *rest])
        return self.artifacts.UploadArtifact(requests, timeout=CALL_TIMEOUT_S)

    def frames(self, name: str, **fields):
        request = artifact_service_pb2.ReadArtifactRequest(name=name, **fields)
        return list(self.artifacts.ReadArtifact(request, timeout=CALL_TIMEOUT_S))

    def read(self, name: str, **fields) -> bytes:
        return b"".join(frame.data for frame in self.frames(name, **fields))

    def run_probe(self, *, project: str = "demo", inputs=None, **fields):
        """Run a probe to its end; gives the job."""
        spec = probe_pb2.ProbeSpec(isolation=probe_pb2.ProbeSpec.ISOLATION_THREAD, **fields)
        request = job_service_pb2.SubmitJobRequest(project=project)
        request.spec.probe.CopyFrom(spec)
        for role, ref in (inputs or {}).items():
            request.spec.inputs[role].CopyFrom(ref)
        job = self.jobs.SubmitJob(request, timeout=CALL_TIMEOUT_S).job
        waiting = job_service_pb2.WaitJobRequest(name=job.name)
        waiting.timeout.FromSeconds(20)
        done = self.jobs.WaitJob(waiting, timeout=CALL_TIMEOUT_S + 5)
        assert done.condition_met
        return done.job

    def put_output(self, job, name: str, content: bytes, **fields) -> None:
        """Give a job one more artifact, as its work would have."""
        project, job_id = job.name.split("/")[1::2]
        kept = self.house.content.put(content)
        self.house.database.write(
            lambda transaction: _put(transaction, project, job_id, name, kept, **fields)
        ).result(10)

    def stored(self) -> list[Path]:
        """Every file of the content store, finished or not."""
        return [path for path in (self.data_dir / "content").rglob("*") if path.is_file()]


def _put(transaction, project, job_id, name, kept, **fields):
    stored = jobs.get(transaction.connection, project, job_id)
    fields.setdefault("type", ArtifactType.OPAQUE)
    fields.setdefault("media_type", "application/octet-stream")
    artifact = Artifact(
        project=project,
        job_id=job_id,
        artifact_id=name,
        size_bytes=kept.size_bytes,
        sha256=kept.sha256,
        created_at=START,
        **fields,
    )
    artifacts.put(transaction.connection, artifact, job_pk=stored.pk)


def sha256_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def refusal(call, *args, **kwargs) -> Refused:
    """Give the error that a call ends in."""
    try:
        answer = call(*args, **kwargs)
        if hasattr(answer, "__iter__"):
            list(answer)
    except grpc.RpcError as error:
        return Refused.of(error)
    raise AssertionError("it was not refused")
