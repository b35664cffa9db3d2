"""Calls about data sets and models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobplane.client import _datasets as datasets
from jobplane.client import _models as models
from jobplane.client._sync.connection import Connection

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jobplane.client._artifacts import Input
    from jobplane.v1.dataset_service_pb2 import Dataset
    from jobplane.v1.model_service_pb2 import Model


class LibraryCalls(Connection):
    """Registers and finds data sets, and moves models between stages."""

    def register_dataset(
        self,
        dataset: str,
        content: Input,
        *,
        version: str = "",
        format: str = "",  # noqa: A002 - the contract's own word
        description: str = "",
        labels: Mapping[str, str] | None = None,
        project: str = "",
    ) -> Dataset:
        """Version of a data set, pinned to its content: a Path or bytes are uploaded first.

        A repeat with the same content gives the version again.
        """
        talk = datasets.register(
            dataset,
            content,
            project=project or self.project,
            version=version,
            format=format,
            description=description,
            labels=labels,
        )
        return self._run(talk)

    def dataset(self, dataset: str) -> Dataset:
        """Version of a data set by ID@VERSION or its full name."""
        return self._run(datasets.get(dataset, project=self.project))

    def datasets(
        self,
        filter: str = "",  # noqa: A002 - as in list
        *,
        project: str = "",
    ) -> Iterator[Dataset]:
        """Versions of all data sets of a project, newest first."""
        return self._walk(datasets.listing(project=project or self.project, where=filter))

    def models(
        self,
        filter: str = "",  # noqa: A002 - as in list
        *,
        project: str = "",
    ) -> Iterator[Model]:
        """Versions of all models of a project, newest first."""
        return self._walk(models.listing(project=project or self.project, where=filter))

    def model(self, model: str) -> Model:
        """One version of a model with its lineage."""
        return self._run(models.get(model, project=self.project))

    def promote_model(
        self,
        model: str,
        stage: str,
        *,
        approval_ref: str = "",
        rollout: str = "canary",
        canary_percent: int = 0,
        etag: str = "",
        idempotency_key: str | None = None,
    ) -> Model:
        """Version, moved to "staging", "production" or another stage."""
        talk = models.promote(
            model,
            stage,
            project=self.project,
            approval_ref=approval_ref,
            rollout=rollout,
            canary_percent=canary_percent,
            etag=etag,
            idempotency_key=idempotency_key,
        )
        return self._run(talk)

    def rollback_model(
        self, model: str, stage: str, *, reason: str = "", idempotency_key: str | None = None
    ) -> Model:
        """Version that was in the stage before, and is there again."""
        talk = models.roll_back(
            model, stage, project=self.project, reason=reason, idempotency_key=idempotency_key
        )
        return self._run(talk)
