"""SystemService: what the server is, and what it knows of its answers' ground."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from jobplane.engine.domain.errors import ResourceNotFoundError, UnknownAnswerError
from jobplane.engine.domain.job import MAX_RESULT_BYTES
from jobplane.engine.library import INLINE_BYTES
from jobplane.engine.query.filter import MAX_BYTES as MAX_FILTER_BYTES
from jobplane.engine.query.page import MAX_PAGE_SIZE, JobQuery
from jobplane.engine.sheets import MAX_ROWS
from jobplane.service.contract import PACKAGE
from jobplane.service.convert.kind import kind_name
from jobplane.service.convert.scalar import duration_to_wire, timestamp_to_wire
from jobplane.service.convert.watch import MAX_SPAN_S
from jobplane.service.port import EnginePort
from jobplane.service.rpc.call import Call
from jobplane.service.rpc.decoding import MAX_SPEC_BYTES
from jobplane.service.settings import ServiceSettings
from jobplane.v1 import system_service_pb2 as wire

# The rules of the contract itself.
MAX_LABELS = 64
MAX_BATCH_ITEMS = 500


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What the composition root knows of the process."""

    version: str
    engine: str
    store: str
    started_at: datetime
    http_address: str = ""
    max_watch_age_s: float = 0.0
    max_running_attempts: int = 0
    max_artifact_bytes: int = 0


class SystemService:
    """Answers for the server as a whole."""

    def __init__(
        self,
        engine: EnginePort,
        settings: ServiceSettings,
        facts: ServerFacts,
        now: Callable[[], datetime],
    ) -> None:
        self._engine = engine
        self._settings = settings
        self._facts = facts
        self._now = now

    async def GetServerInfo(
        self, request: wire.GetServerInfoRequest, call: Call
    ) -> wire.GetServerInfoResponse:
        """Read version, engine, limits and kinds."""
        del request, call
        facts = self._facts
        return wire.GetServerInfoResponse(
            version=facts.version,
            api_versions=[PACKAGE],
            engine=facts.engine,
            store=facts.store,
            limits=self._limits(),
            kinds=self._kinds(),
            server_time=timestamp_to_wire(self._now()),
            start_time=timestamp_to_wire(facts.started_at),
            http_address=facts.http_address,
            documentation_url=self._settings.documentation_url,
            development=self._settings.dev,
        )

    async def GetModelAge(
        self, request: wire.GetModelAgeRequest, call: Call
    ) -> wire.GetModelAgeResponse:
        """Refuse: no model can be registered on this server yet."""
        del call
        raise ResourceNotFoundError(f"projects/{request.project}/models/{request.family or '-'}")

    async def GetDataMode(
        self, request: wire.GetDataModeRequest, call: Call
    ) -> wire.GetDataModeResponse:
        """Tell what the newest finished job rests on, where it took inputs; else refuse."""
        del call
        query = JobQuery(request.project, "done = true", "finish_time desc", page_size=1)
        for job in (await self._engine.list(query)).items:
            for ref in job.spec.inputs.values():
                dataset = f"projects/{job.project}/datasets/{ref.dataset_id}"
                return wire.GetDataModeResponse(
                    mode=wire.DATA_MODE_USER,
                    job=job.name,
                    source=ref.artifact or f"{dataset}/versions/{ref.dataset_version}",
                    as_of_time=timestamp_to_wire(job.finished_at),
                )
            raise UnknownAnswerError("data_mode", {"job": job.name})
        raise UnknownAnswerError("data_mode")

    def _limits(self) -> wire.Limits:
        settings = self._settings
        return wire.Limits(
            max_message_bytes=settings.max_message_bytes,
            max_spec_bytes=MAX_SPEC_BYTES,
            max_result_bytes=MAX_RESULT_BYTES,
            max_labels=MAX_LABELS,
            max_page_size=MAX_PAGE_SIZE,
            max_page_bytes=settings.page_bytes,
            max_batch_items=MAX_BATCH_ITEMS,
            max_watches_per_principal=settings.max_watches_per_principal,
            max_watches=settings.max_watches,
            max_watch_age=duration_to_wire(self._facts.max_watch_age_s),
            max_filter_bytes=MAX_FILTER_BYTES,
            max_artifact_bytes=self._facts.max_artifact_bytes,
            max_inline_bytes=INLINE_BYTES,
            max_table_rows=MAX_ROWS,
            max_wait=duration_to_wire(MAX_SPAN_S),
            max_running_attempts=self._facts.max_running_attempts,
        )

    def _kinds(self) -> list[wire.GetServerInfoResponse.KindSummary]:
        registry = self._engine.registry
        kinds = sorted(registry.all(), key=lambda kind: kind.name)
        hints = {kind.name: registry.missing(kind) for kind in kinds}
        return [
            wire.GetServerInfoResponse.KindSummary(
                name=kind_name(name), available=not hint, install_hint=hint
            )
            for name, hint in hints.items()
        ]
