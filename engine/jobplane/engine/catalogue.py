"""The catalogue: versions of data sets, each a name for content that never changes."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeVar

from sqlalchemy import Connection

from jobplane.engine.clock import Clock
from jobplane.engine.crossing import Crossing
from jobplane.engine.domain.artifact import Artifact, ArtifactType
from jobplane.engine.domain.dataset import Dataset, dataset_name
from jobplane.engine.domain.errors import (
    AlreadyExistsError,
    InvalidSpecError,
    ReferenceNotFoundError,
    ResourceNotFoundError,
    Violation,
)
from jobplane.engine.query.evaluate import evaluate_dataset
from jobplane.engine.query.filter import parse_filter
from jobplane.engine.query.page import Page, page_limit
from jobplane.engine.query.schema import DATASET_FIELDS
from jobplane.engine.query.token import PageTokens
from jobplane.engine.scheduler.room import Room
from jobplane.engine.sheets import Sheets, is_table
from jobplane.engine.store import artifacts, datasets
from jobplane.engine.store.database import Database, Read, Transaction

T = TypeVar("T")
CALL_TIMEOUT_S = 30.0
SCAN_ROWS = 5_000
LATEST = "latest"
_VERSION_DIGITS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """What a caller says of a new version."""

    project: str
    dataset_id: str
    # "" for one that the digest gives.
    version: str = ""
    # Resource name of the content.
    artifact: str
    format: str = ""
    description: str = ""
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    creator: str = ""


@dataclass(frozen=True, slots=True)
class DatasetQuery:
    """One request for a page of versions."""

    project: str
    filter: str = ""
    page_size: int = 0
    page_token: str = ""

    @property
    def bound(self) -> tuple[str, ...]:
        """What a page token of this query is bound to; the page size may change."""
        return ("datasets", self.project, self.filter)


class Catalogue:
    """Registers and finds versions. Made by `engine.house.House`."""

    def __init__(
        self,
        *,
        database: Database,
        sheets: Sheets,
        tokens: PageTokens,
        crossing: Crossing,
        clock: Clock,
    ) -> None:
        self._database = database
        self._sheets = sheets
        self._tokens = tokens
        self._crossing = crossing
        self._clock = clock

    async def register(self, registration: Registration) -> tuple[Dataset, bool]:
        """The version, and whether it was there before with the same content."""
        if registration.version == LATEST:
            message = 'is never "latest": a version always means the same content'
            raise InvalidSpecError([Violation("version", message)])
        content = await self._read(lambda connection: _content(connection, registration))
        dataset = _dataset(registration, content, self._clock.now())
        known = await self._read(lambda connection: _known(connection, dataset))
        if known is not None:
            return known, True
        if is_table(content):
            dataset = replace(dataset, table=await self._sheets.shape(content))

        def write(transaction: Transaction) -> tuple[Dataset, bool]:
            connection = transaction.connection
            known = _known(connection, dataset)
            if known is not None:
                return known, True
            _keep_for_good(connection, _content(connection, registration))
            datasets.create(connection, dataset)
            return dataset, False

        return await self._crossing.outcome(self._database.write(write), timeout_s=CALL_TIMEOUT_S)

    async def get(self, project: str, dataset_id: str, version: str) -> Dataset:
        """One version."""

        def read(connection: Connection) -> Dataset:
            found = datasets.find(connection, project, dataset_id, version)
            if found is None:
                raise ResourceNotFoundError(dataset_name(project, dataset_id, version))
            return found

        return await self._read(read)

    async def list(self, query: DatasetQuery) -> Page[Dataset]:
        """A page of versions, newest first."""
        limit = page_limit(query.page_size)
        expression = parse_filter(query.filter, DATASET_FIELDS)
        token = query.page_token
        after = int(self._tokens.decode(token, query.bound)[0] or 0) if token else None
        found = await self._read(
            lambda connection: datasets.page(
                connection,
                project=query.project,
                after=after,
                limit=limit,
                scan=SCAN_ROWS,
                keeps=lambda dataset: evaluate_dataset(expression, dataset),
            )
        )
        key = found.next_key
        return Page(found.items, self._tokens.encode((key,), query.bound) if key else "")

    async def _read(self, operation: Read[T]) -> T:
        return await self._crossing.outcome(
            self._database.read(operation), timeout_s=CALL_TIMEOUT_S
        )


def _content(connection: Connection, registration: Registration) -> Artifact:
    artifact = artifacts.find_by_name(connection, registration.artifact)
    if artifact is None or artifact.project != registration.project:
        raise ReferenceNotFoundError("artifact", registration.artifact)
    return artifact


def _dataset(registration: Registration, content: Artifact, now: datetime) -> Dataset:
    return Dataset(
        project=registration.project,
        dataset_id=registration.dataset_id,
        version=registration.version or f"sha256-{content.sha256[:_VERSION_DIGITS]}",
        sha256=content.sha256,
        media_type=content.media_type,
        size_bytes=content.size_bytes,
        created_at=now,
        format=registration.format,
        description=registration.description,
        creator=registration.creator,
        labels=registration.labels,
    )


def _known(connection: Connection, dataset: Dataset) -> Dataset | None:
    """The same version, if it is there; one that means something else is a refusal."""
    found = datasets.find(connection, dataset.project, dataset.dataset_id, dataset.version)
    if found is None:
        return None
    if found.sha256 != dataset.sha256:
        raise AlreadyExistsError(found.name, "content")
    if found.format != dataset.format:
        raise AlreadyExistsError(found.name, "format")
    return found


def _keep_for_good(connection: Connection, content: Artifact) -> None:
    """Have the content stay as long as the version, under its own name."""
    upload = artifacts.find_upload(connection, content.project, content.sha256)
    if upload is not None:
        artifacts.prolong(connection, upload, None)
        return
    Room.held(connection, content.project).check(content.size_bytes)
    # So far it was a job's output only, and would go with the job.
    artifacts.shelve(
        connection, replace(content, type=ArtifactType.INPUT, job_id="", expires_at=None)
    )
