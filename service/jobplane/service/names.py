"""Resource names, taken apart."""

from typing import NoReturn

from jobplane.engine.domain.errors import InvalidSpecError, Violation

_JOB_FORM = "projects/{project}/jobs/{job_id}"
_KIND_FORM = "kinds/{kind}"


def split_job_name(name: str, field: str = "name") -> tuple[str, str]:
    """Project and job id; raises InvalidSpecError that blames `field`."""
    match name.split("/"):
        case ["projects", project, "jobs", job_id] if project and job_id:
            return project, job_id
    _refuse(field, _JOB_FORM)


def split_kind_name(name: str) -> str:
    """Kind of a kind's name; raises InvalidSpecError that blames `name`."""
    match name.split("/"):
        case ["kinds", kind] if kind:
            return kind
    _refuse("name", _KIND_FORM)


def _refuse(field: str, form: str) -> NoReturn:
    raise InvalidSpecError([Violation(field, f"must have the form {form}")])
