"""The client for asyncio."""

from __future__ import annotations

import asyncio
import builtins
import os
import random
import time
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

import grpc
import grpc.aio

from jobplane.client import _requests as requests
from jobplane.client._aio_job import AsyncJob
from jobplane.client._aio_stream import AsyncFrames, AsyncJobsWatch, AsyncLogTail
from jobplane.client._aio_watch import AsyncStream, AsyncWatch
from jobplane.client._artifact import ArtifactView, AsyncArtifact
from jobplane.client._batch import (
    BatchItem,
    CancelledJobs,
    batch_error,
    batch_request,
    cancel_requests,
)
from jobplane.client._channel import call_metadata, may_repeat, open_aio_channel
from jobplane.client._context import Context, choose
from jobplane.client._datasets import AsyncDatasets
from jobplane.client._event import Event, event_from_wire
from jobplane.client._job_list import AsyncJobList
from jobplane.client._logs import LogMachine, LogQuery
from jobplane.client._page import EVENT_PAGE_SIZE, PAGE_SIZE, JobQuery
from jobplane.client._quotas import AsyncQuotas
from jobplane.client._read import ArtifactRead
from jobplane.client._requests import Spec, Submission, job_name
from jobplane.client._schedules import (
    NewSchedule,
    ScheduleChanges,
    create_request,
    preview_request,
    preview_times,
    schedule_name,
    update_request,
)
from jobplane.client._sets import SetMachine, SetQuery
from jobplane.client._status import error_of
from jobplane.client._steps import Interruption, WatchPlan
from jobplane.client._table import Row, TableRead
from jobplane.client._updates import AsyncUpdates
from jobplane.client._upload import Content, Upload
from jobplane.client._view import JobView
from jobplane.v1 import (
    artifact_service_pb2,
    artifact_service_pb2_grpc,
    job_pb2,
    job_service_pb2,
    job_service_pb2_grpc,
    kind_service_pb2,
    kind_service_pb2_grpc,
    schedule_service_pb2,
    schedule_service_pb2_grpc,
    system_service_pb2,
    system_service_pb2_grpc,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
    from datetime import datetime
    from types import TracebackType

    from google.protobuf.message import Message

    from jobplane.client.errors import JobplaneError

    _Request = TypeVar("_Request", bound=Message)
    _Response = TypeVar("_Response")

CALL_TIMEOUT_S = 30.0


class AsyncClient(
    AsyncDatasets, AsyncQuotas, AsyncUpdates, AbstractAsyncContextManager["AsyncClient"]
):
    """Submits, reads, steers and watches jobs, with the same names as Client.

    Without arguments it talks to JOBPLANE_ADDRESS, else to the context in use
    (`jobplane context ls`), else to 127.0.0.1:7070.
    """

    def __init__(
        self,
        address: str = "",
        *,
        project: str = "",
        token: str = "",
        tls: bool | None = None,
        ca_file: str = "",
        context: str = "",
        timeout: float = CALL_TIMEOUT_S,
    ) -> None:
        given = Context(address=address, project=project, token=token, ca_file=ca_file)
        self._context = choose(given=given, env=os.environ, context_name=context, tls=tls)
        self._metadata = call_metadata(self._context)
        self._timeout_s = timeout
        self._channel = open_aio_channel(self._context)
        self._watch_channel: grpc.aio.Channel | None = None
        self._jobs = job_service_pb2_grpc.JobServiceStub(self._channel)
        self._kinds = kind_service_pb2_grpc.KindServiceStub(self._channel)
        self._schedules = schedule_service_pb2_grpc.ScheduleServiceStub(self._channel)
        self._system = system_service_pb2_grpc.SystemServiceStub(self._channel)
        self._artifacts = artifact_service_pb2_grpc.ArtifactServiceStub(self._channel)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    @property
    def address(self) -> str:
        """Address of the server."""
        return self._context.address

    @property
    def project(self) -> str:
        """Project that ids without one belong to."""
        return self._context.project

    @property
    def channel(self) -> grpc.aio.Channel:
        """Channel of the unary calls, for stubs of your own."""
        return self._channel

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Metadata to send with calls of your own."""
        return self._metadata

    async def close(self) -> None:
        """Cancel every open call and leave the server."""
        await self._channel.close(None)
        if self._watch_channel is not None:
            await self._watch_channel.close(None)

    async def submit(
        self,
        spec: Spec,
        *,
        kind: str = "",
        schema_version: str = "",
        idempotency_key: str | None = None,
        reject_duplicate: bool = False,
        job_id: str = "",
        priority: int | None = None,
        queue: str = "",
        job_set: str = "",
        labels: Mapping[str, str] | None = None,
        display_name: str = "",
        inputs: Mapping[str, Content | ArtifactView | str] | None = None,
    ) -> AsyncJob:
        """Durable job for a spec: a message of `specs`, a dict, or JSON text.

        Makes an idempotency key when none is given, so that a repeat after a lost
        connection never makes a second job. `inputs` are by role: a Path or bytes are
        uploaded first, an artifact is named.
        """
        submission = Submission(
            idempotency_key=idempotency_key,
            reject_duplicate=reject_duplicate,
            job_id=job_id,
            priority=priority,
            queue=queue,
            job_set=job_set,
            labels=labels or {},
            display_name=display_name,
            inputs={role: await self._input(given) for role, given in (inputs or {}).items()},
        )
        response = await self._submit(spec, submission, kind=kind, schema_version=schema_version)
        return AsyncJob(self, response.job, deduplicated=response.deduplicated)

    async def validate(
        self, spec: Spec, *, kind: str = "", schema_version: str = ""
    ) -> job_pb2.Job:
        """Job as it would be, after every check of the server; nothing is written."""
        response = await self._submit(
            spec, Submission(validate_only=True), kind=kind, schema_version=schema_version
        )
        return response.job

    def job(self, job: str) -> AsyncJob:
        """Handle for an id or a full name, without asking the server."""
        name = job_name(job, self.project)
        project, job_id = name.split("/")[1::2]
        return AsyncJob(self, job_pb2.Job(name=name, job_id=job_id, project=project))

    async def get(self, job: str | JobView) -> AsyncJob:
        """Job with everything that the server knows about it."""
        return AsyncJob(self, await self._get(job))

    def list(
        self,
        filter: str = "",  # noqa: A002 - the contract's own word
        *,
        order_by: str = "",
        limit: int | None = None,
        full: bool = False,
        project: str = "",
    ) -> AsyncJobList:
        """Jobs that match, page by page as they are asked for; newest first by default."""
        query = JobQuery(
            project=project or self.project,
            filter=filter,
            order_by=order_by,
            full=full,
            limit=limit,
        )
        return AsyncJobList(self._listed(query))

    async def _listed(self, query: JobQuery) -> AsyncGenerator[AsyncJob, None]:
        taken, token = 0, ""
        while query.has_room(taken):
            page = await self._call(self._jobs.ListJobs, query.request(token, taken))
            for wire in page.jobs:
                if not query.has_room(taken):
                    return
                taken += 1
                yield AsyncJob(self, wire)
            token = page.next_page_token
            if not token:
                return

    async def count(self, filter: str = "", *, project: str = "") -> int:  # noqa: A002 - as in list
        """Exact number of jobs that match."""
        return (await self._count(filter, group_by="", project=project)).total

    async def count_by(
        self,
        field: str,
        *,
        filter: str = "",  # noqa: A002 - as in list
        project: str = "",
    ) -> dict[str, int]:
        """Exact numbers by "status", "kind", "queue", "job_set" or "labels.KEY"."""
        return dict((await self._count(filter, group_by=field, project=project)).groups)

    async def cancel(
        self, job: str | JobView, *, reason: str = "", force: bool = False
    ) -> AsyncJob:
        """Job, CANCELLED or on its way there."""
        request = job_service_pb2.CancelJobRequest(name=self._name(job), reason=reason, force=force)
        return AsyncJob(self, (await self._call(self._jobs.CancelJob, request)).job)

    async def pause(self, job: str | JobView, *, reason: str = "") -> AsyncJob:
        """Job, PAUSED or on its way there."""
        request = job_service_pb2.PauseJobRequest(name=self._name(job), reason=reason)
        return AsyncJob(self, (await self._call(self._jobs.PauseJob, request)).job)

    async def resume(self, job: str | JobView, *, reason: str = "") -> AsyncJob:
        """Job, queued again or still running."""
        request = job_service_pb2.ResumeJobRequest(name=self._name(job), reason=reason)
        return AsyncJob(self, (await self._call(self._jobs.ResumeJob, request)).job)

    async def answer(
        self, job: str | JobView, answers: Mapping[str, str], *, input_id: str = ""
    ) -> AsyncJob:
        """Job, queued again; answers its open question by question id."""
        known = job_pb2.Job(name=self._name(job)) if input_id else await self._get(job)
        request = requests.answer_request(known, answers, input_id)
        return AsyncJob(self, (await self._call(self._jobs.ProvideJobInput, request)).job)

    async def retry(
        self,
        job: str | JobView,
        *,
        from_checkpoint: bool = False,
        idempotency_key: str | None = None,
    ) -> AsyncJob:
        """Job made new from a finished one."""
        request = job_service_pb2.RetryJobRequest(
            name=self._name(job),
            from_checkpoint=from_checkpoint,
            idempotency_key=idempotency_key or requests.new_key(),
        )
        return AsyncJob(self, (await self._call(self._jobs.RetryJob, request)).job)

    def watch(
        self,
        job: str | JobView,
        *,
        after_sequence: int | None = 0,
        plan: WatchPlan | None = None,
        on_interruption: Callable[[Interruption], None] | None = None,
    ) -> AsyncWatch:
        """Events until the job ends: its whole history first, then live.

        `after_sequence` starts later in the history; None starts from now with a snapshot.
        """
        return AsyncWatch(
            self._open_watch,
            self._name(job),
            plan=plan or WatchPlan(),
            after_sequence=after_sequence,
            on_interruption=on_interruption,
        )

    async def wait(
        self,
        job: str | JobView,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - its error says that the job goes on
    ) -> AsyncJob:
        """Job once it has ended, however it did; WaitTimeout leaves it going."""
        plan = WatchPlan(timeout_s=timeout, durable_only=True, event_types=("finished",))
        async with self.watch(job, after_sequence=None, plan=plan) as watch:
            async for _ in watch:
                pass
        if watch.job is not None and watch.job.done:
            return AsyncJob(self, watch.job)
        return await self.get(job)

    def watch_jobs(
        self,
        filter: str = "",  # noqa: A002 - as in list
        *,
        cursor: str = "",
        until_all_finished: bool = False,
        full: bool = False,
        project: str = "",
        timeout: float | None = None,
        heartbeat_s: float = 15.0,
        max_resume_s: float = 300.0,
    ) -> AsyncJobsWatch:
        """Jobs that match, then each change of them; `jobs` of it is what matches now.

        It ends when `until_all_finished` is set and all that match are; else it goes on.
        """
        query = SetQuery(
            project=project or self.project,
            filter=filter,
            full=full,
            until_all_finished=until_all_finished,
            heartbeat_s=heartbeat_s,
        )
        machine = SetMachine(
            query,
            cursor=cursor,
            timeout_s=timeout,
            max_resume_s=max_resume_s,
            now=time.monotonic(),
            jitter=random.random,
        )
        return AsyncJobsWatch(machine, self._open_set)

    def logs(
        self,
        job: str | JobView,
        *,
        follow: bool = False,
        attempt: int = 0,
        after_line: int = 0,
        tail: int = 0,
        timeout: float | None = None,
        max_resume_s: float = 300.0,
    ) -> AsyncLogTail:
        """Lines of a job's log; with `follow` until the last one that there will be.

        Without an attempt they are those of the current one, and of the ones after it.
        """
        query = LogQuery(
            name=self._name(job), attempt=attempt, after_line=after_line, tail=tail, follow=follow
        )
        machine = LogMachine(
            query,
            timeout_s=timeout,
            max_resume_s=max_resume_s,
            now=time.monotonic(),
            jitter=random.random,
        )
        return AsyncLogTail(machine, self._open_log, lambda: self._get(job))

    async def submit_batch(
        self, items: Sequence[BatchItem], *, allow_partial: bool = False, project: str = ""
    ) -> builtins.list[AsyncJob | JobplaneError]:
        """Jobs of a batch, in order: all of them, or an error.

        With `allow_partial` each item is a job, or the error that it was refused with.
        """
        request = batch_request(items, project=project or self.project, allow_partial=allow_partial)
        response = await self._call(self._jobs.BatchSubmitJobs, request)
        return [
            batch_error(one)
            or AsyncJob(self, one.accepted.job, deduplicated=one.accepted.deduplicated)
            for one in response.results
        ]

    async def cancel_all(
        self,
        jobs: Sequence[str | JobView] = (),
        *,
        filter: str = "",  # noqa: A002 - as in list
        reason: str = "",
        dry_run: bool = False,
        project: str = "",
    ) -> CancelledJobs:
        """How many jobs were cancelled: those named, or all that match and are not finished.

        Many jobs take several calls; a dry run only counts.
        """
        done = CancelledJobs()
        for request in cancel_requests(
            [self._name(job) for job in jobs],
            project=project or self.project,
            filter=filter,
            reason=reason,
            dry_run=dry_run,
        ):
            while done.take(await self._call(self._jobs.BatchCancelJobs, request)):
                pass
        return done

    async def history(
        self, job: str | JobView, *, after_sequence: int = 0
    ) -> AsyncGenerator[Event, None]:
        """Durable events so far, in order."""
        token = ""
        while True:
            request = job_service_pb2.ListJobEventsRequest(
                name=self._name(job),
                page_size=EVENT_PAGE_SIZE,
                page_token=token,
                after_sequence=after_sequence,
            )
            page = await self._call(self._jobs.ListJobEvents, request)
            for event in page.events:
                yield event_from_wire(event)
            token = page.next_page_token
            if not token:
                return

    async def kinds(self) -> AsyncGenerator[kind_service_pb2.Kind, None]:
        """Kinds that the server knows, without their schemas."""
        token = ""
        while True:
            request = kind_service_pb2.ListKindsRequest(page_size=PAGE_SIZE, page_token=token)
            page = await self._call(self._kinds.ListKinds, request)
            for kind in page.kinds:
                yield kind
            token = page.next_page_token
            if not token:
                return

    async def kind(self, kind: str) -> kind_service_pb2.Kind:
        """Kind with the JSON Schema of its parameters."""
        request = kind_service_pb2.GetKindRequest(name=f"kinds/{kind.removeprefix('kinds/')}")
        return (await self._call(self._kinds.GetKind, request)).kind

    async def create_schedule(
        self, schedule: str, spec: Spec, **said: Unpack[NewSchedule]
    ) -> schedule_service_pb2.Schedule:
        """Schedule that submits a job of the spec at every time of `cron`."""
        request = create_request(schedule, spec, said, project=self.project)
        return (await self._call(self._schedules.CreateSchedule, request)).schedule

    async def schedule(self, schedule: str) -> schedule_service_pb2.Schedule:
        """Schedule with its next times, its last jobs and what became of its last fires."""
        request = schedule_service_pb2.GetScheduleRequest(name=self._schedule_name(schedule))
        return (await self._call(self._schedules.GetSchedule, request)).schedule

    async def schedules(
        self, *, project: str = ""
    ) -> AsyncGenerator[schedule_service_pb2.Schedule, None]:
        """Schedules of a project, by name."""
        token = ""
        while True:
            request = schedule_service_pb2.ListSchedulesRequest(
                project=project or self.project, page_size=PAGE_SIZE, page_token=token
            )
            page = await self._call(self._schedules.ListSchedules, request)
            for schedule in page.schedules:
                yield schedule
            token = page.next_page_token
            if not token:
                return

    async def update_schedule(
        self,
        schedule: str,
        spec: Spec | None = None,
        *,
        etag: str = "",
        **said: Unpack[ScheduleChanges],
    ) -> schedule_service_pb2.Schedule:
        """Schedule, changed in what is said; `paused=True` pauses it."""
        request = update_request(schedule, spec, said, project=self.project, etag=etag)
        return (await self._call(self._schedules.UpdateSchedule, request)).schedule

    async def delete_schedule(self, schedule: str) -> None:
        """Remove a schedule; its jobs stay."""
        request = schedule_service_pb2.DeleteScheduleRequest(name=self._schedule_name(schedule))
        await self._call(self._schedules.DeleteSchedule, request)

    async def trigger_schedule(
        self, schedule: str, *, idempotency_key: str | None = None
    ) -> AsyncJob:
        """Job that the schedule submits now, paused or not."""
        request = schedule_service_pb2.TriggerScheduleRequest(
            name=self._schedule_name(schedule),
            idempotency_key=idempotency_key or requests.new_key(),
        )
        response = await self._call(self._schedules.TriggerSchedule, request)
        submitted = response.submitted
        return AsyncJob(self, submitted.job, deduplicated=submitted.deduplicated)

    async def preview_schedule(
        self, cron: str, *, time_zone: str = "", count: int = 0, after: datetime | None = None
    ) -> builtins.list[datetime]:
        """Times at which such a schedule would fire; nothing is stored."""
        request = preview_request(cron, time_zone=time_zone, count=count, after=after)
        return preview_times(await self._call(self._schedules.PreviewSchedule, request))

    async def server_info(self) -> system_service_pb2.GetServerInfoResponse:
        """Version, limits and kinds of the server."""
        request = system_service_pb2.GetServerInfoRequest()
        return await self._call(self._system.GetServerInfo, request)

    async def artifacts(
        self,
        job: str | JobView,
        *,
        filter: str = "",  # noqa: A002 - as in list
    ) -> AsyncGenerator[AsyncArtifact, None]:
        """Artifacts of a job, complete and readable."""
        token = ""
        while True:
            request = artifact_service_pb2.ListArtifactsRequest(
                parent=self._name(job), page_size=PAGE_SIZE, page_token=token, filter=filter
            )
            page = await self._call(self._artifacts.ListArtifacts, request)
            for wire in page.artifacts:
                yield AsyncArtifact(self, wire)
            token = page.next_page_token
            if not token:
                return

    async def artifact(self, job: str | JobView, artifact: str) -> AsyncArtifact:
        """Artifact of a job by its name within the job, for example "report.html"."""
        request = artifact_service_pb2.GetArtifactRequest(
            name=f"{self._name(job)}/artifacts/{artifact}"
        )
        return AsyncArtifact(
            self, (await self._call(self._artifacts.GetArtifact, request)).artifact
        )

    async def read_artifact(
        self, name: str, *, offset: int = 0, sha256: str = ""
    ) -> AsyncGenerator[bytes, None]:
        """Chunks of an artifact by its full name; resumes after a cut, checks every byte."""
        read = ArtifactRead(name, offset=offset, sha256=sha256)
        while not read.complete:
            call = self._artifacts.ReadArtifact(read.request(), metadata=self._metadata)
            try:
                async for frame in call:
                    yield read.take(frame)
                read.cut(None)
            except grpc.RpcError as error:
                read.cut(error_of(error))
            finally:
                call.cancel()
            await asyncio.sleep(read.pause_s())

    async def read_table(
        self,
        name: str,
        *,
        offset: int = 0,
        limit: int | None = None,
        columns: Sequence[str] = (),
    ) -> AsyncGenerator[Row, None]:
        """Rows of a table artifact by its full name, page by page as they are asked for."""
        read = TableRead(name, offset=offset, limit=limit, columns=columns)
        while not read.complete:
            for row in read.take(await self._call(self._artifacts.ReadTable, read.request())):
                yield row

    async def upload(
        self,
        content: Content,
        *,
        filename: str = "",
        media_type: str = "",
        labels: Mapping[str, str] | None = None,
        project: str = "",
        on_progress: Callable[[int, int], None] | None = None,
    ) -> AsyncArtifact:
        """Content as an artifact of the project, to be given to jobs as an input.

        Goes on after a cut where the server stopped; content that is there is not sent again.
        """
        upload = Upload(
            content,
            project=project or self.project,
            filename=filename,
            media_type=media_type,
            labels=labels,
            on_progress=on_progress,
        )
        send: Any = self._artifacts.UploadArtifact
        messages = upload.question()
        while upload.artifact is None:
            try:
                upload.answered(
                    await send(messages, timeout=upload.timeout_s, metadata=self._metadata)
                )
                messages = upload.messages()
            except grpc.RpcError as error:
                upload.cut(error_of(error))
                await asyncio.sleep(upload.pause_s())
                messages = upload.question()
        return AsyncArtifact(self, upload.artifact)

    async def _input(self, given: Content | ArtifactView | str) -> str:
        """Name of the artifact that an input is."""
        if isinstance(given, str):
            return given
        return given.name if isinstance(given, ArtifactView) else (await self.upload(given)).name

    async def _submit(
        self, spec: Spec, submission: Submission, *, kind: str, schema_version: str
    ) -> job_service_pb2.SubmitJobResponse:
        checked = requests.job_spec(spec, kind=kind, schema_version=schema_version)
        request = requests.submit_request(checked, submission, project=self.project)
        return await self._call(self._jobs.SubmitJob, request)

    async def _get(self, job: str | JobView) -> job_pb2.Job:
        request = job_service_pb2.GetJobRequest(name=self._name(job))
        return (await self._call(self._jobs.GetJob, request)).job

    async def _count(
        self, where: str, *, group_by: str, project: str
    ) -> job_service_pb2.CountJobsResponse:
        request = job_service_pb2.CountJobsRequest(
            project=project or self.project, filter=where, group_by=group_by
        )
        return await self._call(self._jobs.CountJobs, request)

    def _schedule_name(self, schedule: str) -> str:
        return schedule_name(schedule, self.project)

    def _name(self, job: str | JobView) -> str:
        return job.name if isinstance(job, JobView) else job_name(job, self.project)

    def _open_set(self, request: job_service_pb2.WatchJobsRequest) -> AsyncFrames:
        stream: AsyncFrames = self._watching().WatchJobs(request, metadata=self._metadata)
        return stream

    def _open_log(self, request: job_service_pb2.TailJobLogsRequest) -> AsyncFrames:
        stream: AsyncFrames = self._watching().TailJobLogs(request, metadata=self._metadata)
        return stream

    def _open_watch(self, request: job_service_pb2.WatchJobRequest) -> AsyncStream:
        stream: AsyncStream = self._watching().WatchJob(request, metadata=self._metadata)
        return stream

    def _watching(self) -> job_service_pb2_grpc.JobServiceAsyncStub:
        # Watches have a connection of their own: a full one would make unary calls wait.
        if self._watch_channel is None:
            self._watch_channel = open_aio_channel(self._context, own_connection=True)
        return job_service_pb2_grpc.JobServiceStub(self._watch_channel)

    async def _call(
        self,
        method: grpc.aio.UnaryUnaryMultiCallable[_Request, _Response],
        request: _Request,
    ) -> _Response:
        try:
            return await method(request, timeout=self._timeout_s, metadata=self._metadata)
        except grpc.RpcError as error:
            refused = error_of(error)
            if not may_repeat(request, refused):
                raise refused from error
        try:
            return await method(request, timeout=self._timeout_s, metadata=self._metadata)
        except grpc.RpcError as error:
            raise error_of(error) from error
