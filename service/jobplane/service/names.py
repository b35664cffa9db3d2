"""Resource names, taken apart."""

from jobplane.engine.domain.errors import InvalidSpecError, Violation

_JOB_FORM = "projects/{project}/jobs/{job_id}"
_KIND_FORM = "kinds/{kind}"


def split_job_name(name: str, field: str = "name") -> tuple[str, str]:
    """Project and job id; raises InvalidSpecError that blames `field`."""
    match name.split("/"):
        case ["projects", project, "jobs", job_id] if project and job_id:
            return project, job_id
        case _:
            raise _misnamed(field, _JOB_FORM)


def split_kind_name(name: str) -> str:
    """Kind of a kind's name; raises InvalidSpecError that blames `name`."""
    match name.split("/"):
        case ["kinds", kind] if kind:
            return kind
        case _:
            raise _misnamed("name", _KIND_FORM)


def _misnamed(field: str, form: str) -> InvalidSpecError:
    return InvalidSpecError([Violation(field, f"must have the form {form}")])
