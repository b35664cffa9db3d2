"""Measures answer_run on papers whose answers are known: `python bench/answer_run.py`.

The answerer was improved on all sets but the two whose name begins with `held_out`: what it
got wrong there was never looked at. A question may have no answer in the papers; then the run
must say so.
"""

import argparse
import json
import re
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from jobplane.engine.kinds.answer_run.work import ANSWER, CONTEXT, run  # noqa: E402  path first
from jobplane.kinds.answer_run.v1 import answer_run_pb2 as wire  # noqa: E402  path first
from tests.kinds.fake_context import FakeContext  # noqa: E402  path first

QUESTIONS = ROOT / "tests/kinds/answer_run/quality"
SETS = (
    "city",
    "station",
    "shop",
    "housing",
    "museum",
    "railway",
    "observatory",
    "held_out",
    "held_out_2",
)
_ESCAPE = re.compile(r"\\([\\`\[\]<>*])")


@dataclass
class Figures:
    """What the answers to one set of questions came to."""

    name: str
    questions: int = 0
    answerable: int = 0
    recalled: int = 0
    citations: int = 0
    correct_citations: int = 0
    unanswerable: int = 0
    gaps: int = 0
    true_gaps: int = 0
    # Questions without an answer in the papers that were answered all the same.
    invented: int = 0
    seconds: float = 0.0
    misses: list[str] = field(default_factory=list[str])

    @property
    def answer_recall(self) -> float:
        """Share of answerable questions whose answer holds all that it must."""
        return self.recalled / max(1, self.answerable)

    @property
    def citation_correctness(self) -> float:
        """Share of cited passages that stand in a paper with the answer."""
        return self.correct_citations / max(1, self.citations)

    @property
    def gap_precision(self) -> float:
        """Share of reported gaps that are true ones."""
        return self.true_gaps / max(1, self.gaps)

    @property
    def gap_recall(self) -> float:
        """Share of questions with a true gap for which one was reported."""
        return self.true_gaps / max(1, self.unanswerable)


def measure(name: str, *, by_meaning: bool = False) -> Figures:
    """Figures of one set, each question answered in a run of its own."""
    entries: dict[str, Any] = json.loads((QUESTIONS / f"{name}.json").read_text("utf-8"))
    figures = Figures(name)
    for entry in entries["questions"]:
        started = perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            documents = ROOT / entries["documents"]
            context = _answered(entry, documents, Path(folder), by_meaning=by_meaning)
        figures.seconds += perf_counter() - started
        _count(figures, entry, context)
    return figures


def _answered(
    entry: dict[str, Any], documents: Path, folder: Path, *, by_meaning: bool
) -> FakeContext:
    context = FakeContext(folder=folder, settings={"document_roots": [str(documents.parent)]})
    spec = wire.AnswerRunSpec(
        question=entry["question"],
        markdown_path=documents.name,
        enable_sql=entry.get("sql", False),
    )
    if by_meaning:
        spec.retrieval.mode = wire.AnswerRunSpec.Retrieval.MODE_HYBRID
    run(spec, context)
    return context


def _count(figures: Figures, entry: dict[str, Any], context: FakeContext) -> None:
    bundle = json.loads(context.artifacts[CONTEXT].content)
    text = _ESCAPE.sub(r"\1", context.artifacts[ANSWER].content.decode())
    said = text.split("## Gaps")[0].split("## Sources")[0].casefold()
    cited = [evidence["path"] for evidence in bundle["evidence"] if evidence["used"]]
    has_gap, gap_expected = bool(bundle["gaps"]), bool(entry.get("gap"))
    hit = all(any(form.casefold() in said for form in forms) for forms in entry["answers"])
    figures.questions += 1
    figures.gaps += has_gap
    figures.unanswerable += gap_expected
    figures.true_gaps += has_gap and gap_expected
    if entry["answers"]:
        figures.answerable += 1
        figures.recalled += hit
        figures.citations += len(cited)
        figures.correct_citations += sum(path in entry["sources"] for path in cited)
    elif cited and not entry["sources"]:
        figures.invented += 1
    if not hit or has_gap is not gap_expected:
        figures.misses.append(entry["id"])


def table(all_figures: list[Figures]) -> str:
    """The figures as a markdown table."""
    lines = [
        (
            "| set | questions | answer recall | citation correctness | gap precision | gap recall "
            "| invented | s/question |"
        ),
        "|---|---|---|---|---|---|---|---|",
    ]
    lines.extend(
        f"| {item.name} | {item.questions} | {item.answer_recall:.3f} ({item.recalled}/"
        f"{item.answerable}) | {item.citation_correctness:.3f} ({item.correct_citations}/"
        f"{item.citations}) | {item.gap_precision:.3f} ({item.true_gaps}/{item.gaps}) "
        f"| {item.gap_recall:.3f} ({item.true_gaps}/{item.unanswerable}) | {item.invented} "
        f"| {item.seconds / max(1, item.questions):.3f} |"
        for item in all_figures
    )
    return "\n".join(lines)


def main() -> None:
    """Print the table, and write the figures as JSON where --json says."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--json", type=Path, help="also write the figures here")
    options.add_argument("--misses", action="store_true", help="also list what went wrong")
    options.add_argument("--hybrid", action="store_true", help="retrieve by meaning too")
    options.add_argument("sets", nargs="*", default=SETS, help=f"of {', '.join(SETS)}")
    arguments = options.parse_args()
    measured = [measure(name, by_meaning=arguments.hybrid) for name in arguments.sets]
    print(table(measured))
    for figures in measured if arguments.misses else ():
        print(f"{figures.name}: {', '.join(figures.misses) or 'nothing missed'}")
    text = json.dumps([asdict(figures) for figures in measured], indent=2)
    if arguments.json:
        arguments.json.write_text(text + "\n", "utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()
