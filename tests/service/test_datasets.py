"""DatasetService over a real engine: a version always means the same bytes."""

import pytest

from jobplane.v1 import dataset_service_pb2, job_service_pb2
from tests.service.library_server import refusal, sha256_of

CONTENT = b"a,b\n1,2\n"


def register(library, artifact, **fields):
    fields = {"project": "demo", "dataset_id": "rides", **fields}
    request = dataset_service_pb2.RegisterDatasetRequest(artifact=artifact, **fields)
    return library.datasets.RegisterDataset(request, timeout=20)


def listed(library, **fields):
    request = dataset_service_pb2.ListDatasetsRequest(project="demo", **fields)
    return library.datasets.ListDatasets(request, timeout=10)


@pytest.fixture
def artifact(library):
    return library.upload(CONTENT, filename="rides.csv").artifact.name


def test_a_version_is_pinned_to_its_content(library, artifact):
    answer = register(
        library, artifact, version="1", format="table", labels={"a": "b"}, description="Rides."
    )
    dataset = answer.dataset
    assert not answer.deduplicated
    assert dataset.name == "projects/demo/datasets/rides/versions/1"
    assert (dataset.sha256, dataset.artifact) == (sha256_of(CONTENT), artifact)
    assert (dataset.media_type, dataset.size_bytes) == ("text/csv", len(CONTENT))
    assert (dataset.format, dataset.description, dataset.creator) == ("table", "Rides.", "dev")
    assert dataset.table.row_count == 1
    request = dataset_service_pb2.GetDatasetRequest(name=dataset.name)
    assert library.datasets.GetDataset(request, timeout=10).dataset == dataset


def test_a_version_that_is_not_named_is_named_by_its_digest(library, artifact):
    version = register(library, artifact).dataset.version
    assert version == f"sha256-{sha256_of(CONTENT)[:12]}"


def test_the_same_again_is_the_same_version(library, artifact):
    first = register(library, artifact, version="1")
    second = register(library, artifact, version="1", description="Other words.")
    assert second.deduplicated
    assert second.dataset == first.dataset


@pytest.mark.parametrize("field", ["content", "format"])
def test_a_version_never_becomes_something_else(library, artifact, field):
    register(library, artifact, version="1", format="table")
    if field == "content":
        artifact = library.upload(b"other").artifact.name
    changed = {"format": "text"} if field == "format" else {"format": "table"}
    refused = refusal(register, library, artifact, version="1", **changed)
    assert (refused.code, refused.reason) == ("ALREADY_EXISTS", "ALREADY_EXISTS")
    assert field in refused.message


def test_a_version_is_never_latest(library, artifact):
    assert refusal(register, library, artifact, version="latest").fields == ["version"]


def test_content_that_does_not_exist_is_named(library):
    name = f"projects/demo/artifacts/{'0' * 64}"
    refused = refusal(register, library, name)
    assert (refused.code, refused.reason) == ("INVALID_ARGUMENT", "REFERENCE_NOT_FOUND")


def test_content_of_another_project_does_not_exist(library):
    name = library.upload(CONTENT, project="other").artifact.name
    assert refusal(register, library, name).reason == "REFERENCE_NOT_FOUND"


def test_what_a_job_made_can_be_registered_and_outlives_the_job(library):
    job = library.run_probe(steps=1)
    library.put_output(job, "made.csv", CONTENT)
    dataset = register(library, f"projects/demo/artifacts/{sha256_of(CONTENT)}").dataset
    library.jobs.DeleteJob(job_service_pb2.DeleteJobRequest(name=job.name), timeout=10)
    assert library.read(dataset.artifact) == CONTENT


def test_an_unknown_version_is_not_found(library):
    request = dataset_service_pb2.GetDatasetRequest(name="projects/demo/datasets/rides/versions/9")
    refused = refusal(library.datasets.GetDataset, request, timeout=10)
    assert (refused.code, refused.reason) == ("NOT_FOUND", "NOT_FOUND")


def test_versions_are_listed_newest_first_page_by_page(library, artifact):
    for version in ("1", "2", "3"):
        register(library, artifact, version=version)
    page = listed(library, page_size=2)
    assert [dataset.version for dataset in page.datasets] == ["3", "2"]
    rest = listed(library, page_size=2, page_token=page.next_page_token)
    assert [dataset.version for dataset in rest.datasets] == ["1"]
    assert rest.next_page_token == ""


def test_versions_are_filtered(library, artifact):
    register(library, artifact, version="1", format="table", labels={"team": "x"})
    register(library, artifact, dataset_id="other", version="1")
    for asked in ("format = table", "labels.team = x", "dataset_id = rides AND version = 1"):
        assert [one.dataset_id for one in listed(library, filter=asked).datasets] == ["rides"]


def test_a_job_reads_a_version(library, artifact):
    register(library, artifact, version="1")
    request = job_service_pb2.SubmitJobRequest(project="demo", validate_only=True)
    request.spec.trade_audit.user_id = "u1"
    request.spec.inputs["journal"].dataset.dataset_id = "rides"
    request.spec.inputs["journal"].dataset.version = "1"
    job = library.jobs.SubmitJob(request, timeout=10).job
    assert job.spec.inputs["journal"].sha256 == sha256_of(CONTENT)
    request.spec.inputs["journal"].dataset.version = "2"
    refused = refusal(library.jobs.SubmitJob, request, timeout=10)
    assert (refused.reason, refused.fields) == (
        "REFERENCE_NOT_FOUND",
        ["spec.inputs[journal].dataset"],
    )
