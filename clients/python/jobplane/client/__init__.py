"""Client of a Jobplane server: submit typed jobs, and watch them to their end.

from jobplane.client import Client, specs

with Client() as client:
    job = client.submit(specs.Probe(steps=3))
    for event in job.events():
        print(event.sequence, event.type, event.status)
    print(job.result().headline)
"""

from jobplane.client import errors, specs
from jobplane.client._aio import AsyncClient
from jobplane.client._aio_job import AsyncJob
from jobplane.client._aio_stream import AsyncJobsWatch, AsyncLogTail
from jobplane.client._aio_watch import AsyncWatch
from jobplane.client._artifact import Artifact, AsyncArtifact
from jobplane.client._batch import BatchItem, CancelledJobs
from jobplane.client._client import Client
from jobplane.client._event import Event
from jobplane.client._job import Job
from jobplane.client._job_list import AsyncJobList, JobList
from jobplane.client._logs import LogLine
from jobplane.client._sets import JobChange, WatchedJob
from jobplane.client._steps import Interruption, WatchPlan
from jobplane.client._sync_stream import JobsWatch, LogTail
from jobplane.client._sync_watch import Watch
from jobplane.client.errors import JobplaneError

__all__ = [
    "Artifact",
    "AsyncArtifact",
    "AsyncClient",
    "AsyncJob",
    "AsyncJobList",
    "AsyncJobsWatch",
    "AsyncLogTail",
    "AsyncWatch",
    "BatchItem",
    "CancelledJobs",
    "Client",
    "Event",
    "Interruption",
    "Job",
    "JobChange",
    "JobList",
    "JobplaneError",
    "JobsWatch",
    "LogLine",
    "LogTail",
    "Watch",
    "WatchPlan",
    "WatchedJob",
    "errors",
    "specs",
]
