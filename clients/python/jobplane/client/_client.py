"""The blocking client."""

from __future__ import annotations

import builtins
import os
import random
import time
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, cast

import grpc

from jobplane.client import _requests as requests
from jobplane.client._artifact import Artifact, ArtifactView
from jobplane.client._batch import (
    BatchItem,
    CancelledJobs,
    batch_error,
    batch_request,
    cancel_requests,
)
from jobplane.client._channel import call_metadata, may_repeat, open_channel
from jobplane.client._context import Context, choose
from jobplane.client._datasets import Datasets
from jobplane.client._event import Event, event_from_wire
from jobplane.client._job import Job
from jobplane.client._job_list import JobList
from jobplane.client._logs import LogMachine, LogQuery
from jobplane.client._page import EVENT_PAGE_SIZE, PAGE_SIZE, JobQuery
from jobplane.client._quotas import Quotas
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
from jobplane.client._sync_stream import Frames, JobsWatch, LogTail
from jobplane.client._sync_watch import Stream, Watch
from jobplane.client._table import Row, TableRead
from jobplane.client._updates import Updates
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
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime
    from types import TracebackType

    from google.protobuf.message import Message

    from jobplane.client.errors import JobplaneError

    _Request = TypeVar("_Request", bound=Message)
    _Response = TypeVar("_Response")

CALL_TIMEOUT_S = 30.0


class Client(Datasets, Quotas, Updates, AbstractContextManager["Client"]):
    """Submits, reads, steers and watches jobs; for `async with`, see AsyncClient.

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
        self._channel = open_channel(self._context)
        self._watch_channel: grpc.Channel | None = None
        self._jobs = job_service_pb2_grpc.JobServiceStub(self._channel)
        self._kinds = kind_service_pb2_grpc.KindServiceStub(self._channel)
        self._schedules = schedule_service_pb2_grpc.ScheduleServiceStub(self._channel)
        self._system = system_service_pb2_grpc.SystemServiceStub(self._channel)
        self._artifacts = artifact_service_pb2_grpc.ArtifactServiceStub(self._channel)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def address(self) -> str:
        """Address of the server."""
        return self._context.address

    @property
    def project(self) -> str:
        """Project that ids without one belong to."""
        return self._context.project

    @property
    def channel(self) -> grpc.Channel:
        """Channel of the unary calls, for stubs of your own."""
        return self._channel

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Metadata to send with calls of your own."""
        return self._metadata

    def close(self) -> None:
        """Cancel every open call and leave the server."""
        self._channel.close()
        if self._watch_channel is not None:
            self._watch_channel.close()

    def submit(
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
    ) -> Job:
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
            inputs={role: self._input(given) for role, given in (inputs or {}).items()},
        )
        response = self._submit(spec, submission, kind=kind, schema_version=schema_version)
        return Job(self, response.job, deduplicated=response.deduplicated)

    def validate(self, spec: Spec, *, kind: str = "", schema_version: str = "") -> job_pb2.Job:
        """Job as it would be, after every check of the server; nothing is written."""
        response = self._submit(
            spec, Submission(validate_only=True), kind=kind, schema_version=schema_version
        )
        return response.job

    def job(self, job: str) -> Job:
        """Handle for an id or a full name, without asking the server."""
        name = job_name(job, self.project)
        project, job_id = name.split("/")[1::2]
        return Job(self, job_pb2.Job(name=name, job_id=job_id, project=project))

    def get(self, job: str | JobView) -> Job:
        """Job with everything that the server knows about it."""
        return Job(self, self._get(job))

    def list(
        self,
        filter: str = "",  # noqa: A002 - the contract's own word
        *,
        order_by: str = "",
        limit: int | None = None,
        full: bool = False,
        project: str = "",
    ) -> JobList:
        """Jobs that match, page by page as they are asked for; newest first by default."""
        query = JobQuery(
            project=project or self.project,
            filter=filter,
            order_by=order_by,
            full=full,
            limit=limit,
        )
        return JobList(self._listed(query))

    def _listed(self, query: JobQuery) -> Iterator[Job]:
        taken, token = 0, ""
        while query.has_room(taken):
            page = self._call(self._jobs.ListJobs, query.request(token, taken))
            for wire in page.jobs:
                if not query.has_room(taken):
                    return
                taken += 1
                yield Job(self, wire)
            token = page.next_page_token
            if not token:
                return

    def count(self, filter: str = "", *, project: str = "") -> int:  # noqa: A002 - as in list
        """Exact number of jobs that match."""
        return self._count(filter, group_by="", project=project).total

    def count_by(
        self,
        field: str,
        *,
        filter: str = "",  # noqa: A002 - as in list
        project: str = "",
    ) -> dict[str, int]:
        """Exact numbers by "status", "kind", "queue", "job_set" or "labels.KEY"."""
        return dict(self._count(filter, group_by=field, project=project).groups)

    def cancel(self, job: str | JobView, *, reason: str = "", force: bool = False) -> Job:
        """Job, CANCELLED or on its way there."""
        request = job_service_pb2.CancelJobRequest(name=self._name(job), reason=reason, force=force)
        return Job(self, self._call(self._jobs.CancelJob, request).job)

    def pause(self, job: str | JobView, *, reason: str = "") -> Job:
        """Job, PAUSED or on its way there."""
        request = job_service_pb2.PauseJobRequest(name=self._name(job), reason=reason)
        return Job(self, self._call(self._jobs.PauseJob, request).job)

    def resume(self, job: str | JobView, *, reason: str = "") -> Job:
        """Job, queued again or still running."""
        request = job_service_pb2.ResumeJobRequest(name=self._name(job), reason=reason)
        return Job(self, self._call(self._jobs.ResumeJob, request).job)

    def answer(self, job: str | JobView, answers: Mapping[str, str], *, input_id: str = "") -> Job:
        """Job, queued again; answers its open question by question id."""
        known = job_pb2.Job(name=self._name(job)) if input_id else self._get(job)
        request = requests.answer_request(known, answers, input_id)
        return Job(self, self._call(self._jobs.ProvideJobInput, request).job)

    def retry(
        self,
        job: str | JobView,
        *,
        from_checkpoint: bool = False,
        idempotency_key: str | None = None,
    ) -> Job:
        """Job made new from a finished one."""
        request = job_service_pb2.RetryJobRequest(
            name=self._name(job),
            from_checkpoint=from_checkpoint,
            idempotency_key=idempotency_key or requests.new_key(),
        )
        return Job(self, self._call(self._jobs.RetryJob, request).job)

    def watch(
        self,
        job: str | JobView,
        *,
        after_sequence: int | None = 0,
        plan: WatchPlan | None = None,
        on_interruption: Callable[[Interruption], None] | None = None,
    ) -> Watch:
        """Events until the job ends: its whole history first, then live.

        `after_sequence` starts later in the history; None starts from now with a snapshot.
        """
        return Watch(
            self._open_watch,
            self._name(job),
            plan=plan or WatchPlan(),
            after_sequence=after_sequence,
            on_interruption=on_interruption,
        )

    def wait(self, job: str | JobView, *, timeout: float | None = None) -> Job:
        """Job once it has ended, however it did; WaitTimeout leaves it going."""
        plan = WatchPlan(timeout_s=timeout, durable_only=True, event_types=("finished",))
        with self.watch(job, after_sequence=None, plan=plan) as watch:
            for _ in watch:
                pass
        if watch.job is not None and watch.job.done:
            return Job(self, watch.job)
        return self.get(job)

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
    ) -> JobsWatch:
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
        return JobsWatch(machine, self._open_set)

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
    ) -> LogTail:
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
        return LogTail(machine, self._open_log, lambda: self._get(job))

    def submit_batch(
        self, items: Sequence[BatchItem], *, allow_partial: bool = False, project: str = ""
    ) -> builtins.list[Job | JobplaneError]:
        """Jobs of a batch, in order: all of them, or an error.

        With `allow_partial` each item is a job, or the error that it was refused with.
        """
        request = batch_request(items, project=project or self.project, allow_partial=allow_partial)
        response = self._call(self._jobs.BatchSubmitJobs, request)
        return [
            batch_error(one) or Job(self, one.accepted.job, deduplicated=one.accepted.deduplicated)
            for one in response.results
        ]

    def cancel_all(
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
            while done.take(self._call(self._jobs.BatchCancelJobs, request)):
                pass
        return done

    def history(self, job: str | JobView, *, after_sequence: int = 0) -> Iterator[Event]:
        """Durable events so far, in order."""
        token = ""
        while True:
            request = job_service_pb2.ListJobEventsRequest(
                name=self._name(job),
                page_size=EVENT_PAGE_SIZE,
                page_token=token,
                after_sequence=after_sequence,
            )
            page = self._call(self._jobs.ListJobEvents, request)
            yield from map(event_from_wire, page.events)
            token = page.next_page_token
            if not token:
                return

    def kinds(self) -> Iterator[kind_service_pb2.Kind]:
        """Kinds that the server knows, without their schemas."""
        token = ""
        while True:
            request = kind_service_pb2.ListKindsRequest(page_size=PAGE_SIZE, page_token=token)
            page = self._call(self._kinds.ListKinds, request)
            yield from page.kinds
            token = page.next_page_token
            if not token:
                return

    def kind(self, kind: str) -> kind_service_pb2.Kind:
        """Kind with the JSON Schema of its parameters."""
        request = kind_service_pb2.GetKindRequest(name=f"kinds/{kind.removeprefix('kinds/')}")
        return self._call(self._kinds.GetKind, request).kind

    def create_schedule(
        self, schedule: str, spec: Spec, **said: Unpack[NewSchedule]
    ) -> schedule_service_pb2.Schedule:
        """Schedule that submits a job of the spec at every time of `cron`."""
        request = create_request(schedule, spec, said, project=self.project)
        return self._call(self._schedules.CreateSchedule, request).schedule

    def schedule(self, schedule: str) -> schedule_service_pb2.Schedule:
        """Schedule with its next times, its last jobs and what became of its last fires."""
        request = schedule_service_pb2.GetScheduleRequest(name=self._schedule_name(schedule))
        return self._call(self._schedules.GetSchedule, request).schedule

    def schedules(self, *, project: str = "") -> Iterator[schedule_service_pb2.Schedule]:
        """Schedules of a project, by name."""
        token = ""
        while True:
            request = schedule_service_pb2.ListSchedulesRequest(
                project=project or self.project, page_size=PAGE_SIZE, page_token=token
            )
            page = self._call(self._schedules.ListSchedules, request)
            yield from page.schedules
            token = page.next_page_token
            if not token:
                return

    def update_schedule(
        self,
        schedule: str,
        spec: Spec | None = None,
        *,
        etag: str = "",
        **said: Unpack[ScheduleChanges],
    ) -> schedule_service_pb2.Schedule:
        """Schedule, changed in what is said; `paused=True` pauses it."""
        request = update_request(schedule, spec, said, project=self.project, etag=etag)
        return self._call(self._schedules.UpdateSchedule, request).schedule

    def delete_schedule(self, schedule: str) -> None:
        """Remove a schedule; its jobs stay."""
        request = schedule_service_pb2.DeleteScheduleRequest(name=self._schedule_name(schedule))
        self._call(self._schedules.DeleteSchedule, request)

    def trigger_schedule(self, schedule: str, *, idempotency_key: str | None = None) -> Job:
        """Job that the schedule submits now, paused or not."""
        request = schedule_service_pb2.TriggerScheduleRequest(
            name=self._schedule_name(schedule),
            idempotency_key=idempotency_key or requests.new_key(),
        )
        response = self._call(self._schedules.TriggerSchedule, request)
        submitted = response.submitted
        return Job(self, submitted.job, deduplicated=submitted.deduplicated)

    def preview_schedule(
        self, cron: str, *, time_zone: str = "", count: int = 0, after: datetime | None = None
    ) -> builtins.list[datetime]:
        """Times at which such a schedule would fire; nothing is stored."""
        request = preview_request(cron, time_zone=time_zone, count=count, after=after)
        return preview_times(self._call(self._schedules.PreviewSchedule, request))

    def server_info(self) -> system_service_pb2.GetServerInfoResponse:
        """Version, limits and kinds of the server."""
        request = system_service_pb2.GetServerInfoRequest()
        return self._call(self._system.GetServerInfo, request)

    def artifacts(
        self,
        job: str | JobView,
        *,
        filter: str = "",  # noqa: A002 - as in list
    ) -> Iterator[Artifact]:
        """Artifacts of a job, complete and readable."""
        token = ""
        while True:
            request = artifact_service_pb2.ListArtifactsRequest(
                parent=self._name(job), page_size=PAGE_SIZE, page_token=token, filter=filter
            )
            page = self._call(self._artifacts.ListArtifacts, request)
            for wire in page.artifacts:
                yield Artifact(self, wire)
            token = page.next_page_token
            if not token:
                return

    def artifact(self, job: str | JobView, artifact: str) -> Artifact:
        """Artifact of a job by its name within the job, for example "report.html"."""
        request = artifact_service_pb2.GetArtifactRequest(
            name=f"{self._name(job)}/artifacts/{artifact}"
        )
        return Artifact(self, self._call(self._artifacts.GetArtifact, request).artifact)

    def read_artifact(self, name: str, *, offset: int = 0, sha256: str = "") -> Iterator[bytes]:
        """Chunks of an artifact by its full name; resumes after a cut, checks every byte."""
        read = ArtifactRead(name, offset=offset, sha256=sha256)
        while not read.complete:
            call: Any = self._artifacts.ReadArtifact(read.request(), metadata=self._metadata)
            try:
                for frame in call:
                    yield read.take(frame)
                read.cut(None)
            except grpc.RpcError as error:
                read.cut(error_of(error))
            finally:
                call.cancel()
            read.pause()

    def read_table(
        self,
        name: str,
        *,
        offset: int = 0,
        limit: int | None = None,
        columns: Sequence[str] = (),
    ) -> Iterator[Row]:
        """Rows of a table artifact by its full name, page by page as they are asked for."""
        read = TableRead(name, offset=offset, limit=limit, columns=columns)
        while not read.complete:
            yield from read.take(self._call(self._artifacts.ReadTable, read.request()))

    def upload(
        self,
        content: Content,
        *,
        filename: str = "",
        media_type: str = "",
        labels: Mapping[str, str] | None = None,
        project: str = "",
        on_progress: Callable[[int, int], None] | None = None,
    ) -> Artifact:
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
                upload.answered(send(messages, timeout=upload.timeout_s, metadata=self._metadata))
                messages = upload.messages()
            except grpc.RpcError as error:
                upload.cut(error_of(error))
                upload.pause()
                messages = upload.question()
        return Artifact(self, upload.artifact)

    def _input(self, given: Content | ArtifactView | str) -> str:
        """Name of the artifact that an input is."""
        if isinstance(given, str):
            return given
        return given.name if isinstance(given, ArtifactView) else (self.upload(given)).name

    def _submit(
        self, spec: Spec, submission: Submission, *, kind: str, schema_version: str
    ) -> job_service_pb2.SubmitJobResponse:
        checked = requests.job_spec(spec, kind=kind, schema_version=schema_version)
        request = requests.submit_request(checked, submission, project=self.project)
        return self._call(self._jobs.SubmitJob, request)

    def _get(self, job: str | JobView) -> job_pb2.Job:
        return self._call(
            self._jobs.GetJob, job_service_pb2.GetJobRequest(name=self._name(job))
        ).job

    def _count(
        self, where: str, *, group_by: str, project: str
    ) -> job_service_pb2.CountJobsResponse:
        request = job_service_pb2.CountJobsRequest(
            project=project or self.project, filter=where, group_by=group_by
        )
        return self._call(self._jobs.CountJobs, request)

    def _schedule_name(self, schedule: str) -> str:
        return schedule_name(schedule, self.project)

    def _name(self, job: str | JobView) -> str:
        return job.name if isinstance(job, JobView) else job_name(job, self.project)

    def _open_set(self, request: job_service_pb2.WatchJobsRequest) -> Frames:
        return cast("Frames", self._watching().WatchJobs(request, metadata=self._metadata))

    def _open_log(self, request: job_service_pb2.TailJobLogsRequest) -> Frames:
        return cast("Frames", self._watching().TailJobLogs(request, metadata=self._metadata))

    def _open_watch(self, request: job_service_pb2.WatchJobRequest) -> Stream:
        return cast("Stream", self._watching().WatchJob(request, metadata=self._metadata))

    def _watching(self) -> job_service_pb2_grpc.JobServiceStub:
        # Watches have a connection of their own: a full one would make unary calls wait.
        if self._watch_channel is None:
            self._watch_channel = open_channel(self._context, own_connection=True)
        return job_service_pb2_grpc.JobServiceStub(self._watch_channel)

    def _call(
        self,
        method: grpc.UnaryUnaryMultiCallable[_Request, _Response],
        request: _Request,
    ) -> _Response:
        try:
            return method(request, timeout=self._timeout_s, metadata=self._metadata)
        except grpc.RpcError as error:
            refused = error_of(error)
            if not may_repeat(request, refused):
                raise refused from error
        try:
            return method(request, timeout=self._timeout_s, metadata=self._metadata)
        except grpc.RpcError as error:
            raise error_of(error) from error
