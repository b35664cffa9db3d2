"""Resource names, taken apart."""

from jobplane.engine.domain.errors import InvalidSpecError, Violation

_JOB_FORM = "projects/{project}/jobs/{job_id}"
_ARTIFACT_FORM = f"{_JOB_FORM}/artifacts/{{artifact_id}}"
_UPLOAD_FORM = "projects/{project}/artifacts/{sha256}"
_DATASET_FORM = "projects/{project}/datasets/{dataset_id}/versions/{version}"
_KIND_FORM = "kinds/{kind}"
_QUOTA_FORM = "projects/{project}/quota"
_QUEUE_FORM = "queues/{queue}"
_SCHEDULE_FORM = "projects/{project}/schedules/{schedule_id}"


def split_job_name(name: str, field: str = "name") -> tuple[str, str]:
    """Project and job id; raises InvalidSpecError that blames `field`."""
    match name.split("/"):
        case ["projects", project, "jobs", job_id] if project and job_id:
            return project, job_id
        case _:
            raise _misnamed(field, _JOB_FORM)


def split_artifact_name(name: str) -> tuple[str, str, str]:
    """Project, job id ("" for an upload) and artifact id; raises InvalidSpecError."""
    match name.split("/"):
        case ["projects", project, "artifacts", sha256] if project and sha256:
            return project, "", sha256
        case ["projects", project, "jobs", job_id, "artifacts", *parts] if all(parts) and parts:
            return project, job_id, "/".join(parts)
        case _:
            raise _misnamed("name", f"{_ARTIFACT_FORM} or {_UPLOAD_FORM}")


def split_artifact_parent(parent: str) -> tuple[str, str]:
    """Project and job id, "" for the project itself; raises InvalidSpecError."""
    match parent.split("/"):
        case ["projects", project] if project:
            return project, ""
        case _:
            return split_job_name(parent, "parent")


def split_dataset_name(name: str) -> tuple[str, str, str]:
    """Project, data set and version; raises InvalidSpecError."""
    match name.split("/"):
        case ["projects", project, "datasets", dataset, "versions", version] if (
            project and dataset and version
        ):
            return project, dataset, version
        case _:
            raise _misnamed("name", _DATASET_FORM)


def split_kind_name(name: str) -> str:
    """Kind of a kind's name; raises InvalidSpecError that blames `name`."""
    match name.split("/"):
        case ["kinds", kind] if kind:
            return kind
        case _:
            raise _misnamed("name", _KIND_FORM)


def split_quota_name(name: str, field: str = "name") -> str:
    """Project of a quota's name; raises InvalidSpecError that blames `field`."""
    match name.split("/"):
        case ["projects", project, "quota"] if project:
            return project
        case _:
            raise _misnamed(field, _QUOTA_FORM)


def split_schedule_name(name: str, field: str = "name") -> tuple[str, str]:
    """Project and schedule id; raises InvalidSpecError that blames `field`."""
    match name.split("/"):
        case ["projects", project, "schedules", schedule_id] if project and schedule_id:
            return project, schedule_id
        case _:
            raise _misnamed(field, _SCHEDULE_FORM)


def split_queue_name(name: str) -> str:
    """Queue of a queue's name; raises InvalidSpecError that blames `name`."""
    match name.split("/"):
        case ["queues", queue] if queue:
            return queue
        case _:
            raise _misnamed("name", _QUEUE_FORM)


def _misnamed(field: str, form: str) -> InvalidSpecError:
    return InvalidSpecError([Violation(field, f"must have the form {form}")])
