"""A real grpc server over a real engine, and raw calls to it."""

from datetime import UTC, datetime

import grpc

from jobplane.engine.executors.processes import ProcessExecutor
from jobplane.engine.executors.settings import ExecutorSettings, ProcessSettings, ThreadSettings
from jobplane.engine.executors.threads import ThreadExecutor
from jobplane.engine.house import House
from jobplane.engine.kinds.registry import Registry
from jobplane.engine.settings import EngineSettings
from jobplane.service.rpc.auth import DevAuthenticator
from jobplane.service.server import Server
from jobplane.service.settings import ServiceSettings
from jobplane.service.system import ServerFacts
from jobplane.v1 import job_pb2
from jobplane.v1 import job_service_pb2 as wire
from jobplane.v1 import job_service_pb2_grpc as rpc
from tests.service.loop_thread import LoopThread
from tests.service.running_server import Refused

CALL_TIMEOUT_S = 20.0
THREAD = wire.SubmitJobRequest().spec.probe.ISOLATION_THREAD
PROCESS = wire.SubmitJobRequest().spec.probe.ISOLATION_PROCESS


class RealServer:
    def __init__(
        self,
        thread: LoopThread,
        folder,
        settings: ServiceSettings | None = None,
        *,
        database_url: str = "",
    ) -> None:
        self._thread = thread
        registry = Registry.discover()
        where = ExecutorSettings(
            threads=ThreadSettings(slots=4), processes=ProcessSettings(slots=1, warm_per_kind=0)
        )
        executors = {
            "THREAD": ThreadExecutor(registry, where),
            "PROCESS": ProcessExecutor(registry, where),
        }
        engine = EngineSettings(folder, database_url=database_url)
        self.house = House(engine, registry=registry, executors=executors)
        self.server = Server(
            settings or ServiceSettings(port=0, dev=True),
            self.house,
            ServerFacts(
                "1.2.3",
                "local",
                "sqlite",
                datetime.now(UTC),
                max_artifact_bytes=engine.max_upload_bytes,
            ),
            DevAuthenticator(),
        )
        self.port = thread.run(self.server.start())
        self.channel = grpc.insecure_channel(f"127.0.0.1:{self.port}")
        self.jobs = rpc.JobServiceStub(self.channel)

    def close(self) -> None:
        self.channel.close()
        self._thread.run(self.server.stop())

    def pause(self) -> None:
        """Start nothing by itself."""
        self.house.dispatcher.paused = True

    def submit(self, *, isolation=THREAD, **fields) -> job_pb2.Job:
        request = submission(isolation=isolation, **fields)
        request.project = "demo"
        return self.jobs.SubmitJob(request, timeout=CALL_TIMEOUT_S).job

    def wait(self, job: job_pb2.Job) -> job_pb2.Job:
        response = self.jobs.WaitJob(wire.WaitJobRequest(name=job.name), timeout=60)
        assert response.condition_met
        return response.job


def submission(*, isolation=THREAD, log_bytes=0, steps=1, step_s=0, **fields):
    """A submit of a probe, without a project."""
    request = wire.SubmitJobRequest(**fields)
    probe = request.spec.probe
    probe.isolation, probe.log_bytes, probe.steps = isolation, log_bytes, steps
    if step_s:
        probe.step_duration.FromSeconds(step_s)
    return request


def refused(call) -> Refused:
    """The error of a call."""
    try:
        response = call()
        if hasattr(response, "cancel"):
            list(response)
    except grpc.RpcError as error:
        return Refused.of(error)
    raise AssertionError("it was not refused")
