"""The refusal of a batch for one of its items."""

from dataclasses import dataclass

from jobplane.engine.domain.errors import EngineError


@dataclass(eq=False)
class ItemRefusedError(EngineError):
    """An item was refused, and so the whole batch; it is told as its cause."""

    index: int
    cause: EngineError

    @property
    def message(self) -> str:
        """The sentence of the cause, with its item."""
        return f"items[{self.index}]: {self.cause.message}"
