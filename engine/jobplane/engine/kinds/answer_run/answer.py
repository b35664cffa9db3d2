"""What an answerer hands on: statements with their sources, and gaps."""

from dataclasses import dataclass
from enum import StrEnum

from jobplane.engine.kinds.answer_run.chunking import Chunk, Unit
from jobplane.engine.kinds.answer_run.questions import SubQuestion


class GapReason(StrEnum):
    """Why a sub-question has no full answer."""

    NO_EVIDENCE = "NO_EVIDENCE"
    LOW_SCORE = "LOW_SCORE"
    CONFLICT = "CONFLICT"
    SQL_NOT_PLANNABLE = "SQL_NOT_PLANNABLE"
    LLM_REFUSED = "LLM_REFUSED"
    LLM_UNAVAILABLE = "LLM_UNAVAILABLE"
    TRUNCATED = "TRUNCATED"
    TOKEN_BUDGET = "TOKEN_BUDGET"  # noqa: S105  a reason, no password
    UNSUPPORTED = "UNSUPPORTED"
    TOO_MANY_QUESTIONS = "TOO_MANY_QUESTIONS"


@dataclass(frozen=True, slots=True)
class MissingPart:
    """One gap: which sub-question, why, and for want of which words."""

    question: SubQuestion
    reason: GapReason
    message: str
    terms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Source:
    """What a statement rests on: a passage, or the result of a query."""

    chunk: Chunk | None = None
    # The sentence of the passage that is quoted.
    quote: Unit | None = None
    # Index into the run's queries.
    query: int | None = None


@dataclass(frozen=True, slots=True)
class Statement:
    """One sentence of an answer, without its citation marks."""

    text: str
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class Draft:
    """Answer to one sub-question: statements, or a gap, or both."""

    question: SubQuestion
    statements: tuple[Statement, ...] = ()
    gaps: tuple[MissingPart, ...] = ()

    @property
    def is_answered(self) -> bool:
        """Whether anything was said."""
        return bool(self.statements)


def beyond_the_most(question: SubQuestion, most: int) -> Draft:
    """No answer, as the run was asked more than it answers."""
    message = f"a run answers {most} questions: ask this one in a run of its own"
    return Draft(question, gaps=(MissingPart(question, GapReason.TOO_MANY_QUESTIONS, message),))
