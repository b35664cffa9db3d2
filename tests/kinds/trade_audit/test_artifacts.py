"""What an audit leaves behind: names, types, safety, size, and the same bytes every time."""

import hashlib
import io
import os
import shutil
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path

import pyarrow.parquet as pq  # type: ignore[import-untyped]  # ships no types
import pytest

from jobplane.engine.domain.artifact import ArtifactType
from jobplane.engine.kinds.base import Stopped
from jobplane.engine.kinds.trade_audit import STAGES
from jobplane.engine.kinds.trade_audit.skeleton import (
    BADGES,
    MAX_RESULT_BYTES,
    RATES,
    review_skeleton,
)
from jobplane.engine.kinds.trade_audit.work import run
from jobplane.kinds.trade_audit.v1.trade_audit_pb2 import BiasThresholds, TradeAuditSpec
from tests.kinds.trade_audit.rig import HEADER, Audited, audit, context_for, journal

ROOT = Path(__file__).resolve().parents[3]
SAMPLE = (ROOT / "examples/journals/sample.csv").read_bytes()
CSV = "text/csv; charset=utf-8"
JSON = "application/json"
ARTIFACTS = {
    "input.csv": ("text/csv", ArtifactType.INPUT),
    "job.json": (JSON, ArtifactType.JSON),
    "normalized.csv": (CSV, ArtifactType.TABLE),
    "flagged.csv": (CSV, ArtifactType.TABLE),
    "counterfactual.csv": (CSV, ArtifactType.TABLE),
    "counterfactual.parquet": ("application/vnd.apache.parquet", ArtifactType.TABLE),
    "review.json": (JSON, ArtifactType.JSON),
    "policy_report.txt": ("text/plain; charset=utf-8", ArtifactType.REPORT),
    "data_quality.json": (JSON, ArtifactType.JSON),
    "runtime_metrics.json": (JSON, ArtifactType.JSON),
    "report.html": ("text/html; charset=utf-8", ArtifactType.REPORT),
}
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "javascript:alert(1)",
    "</style><svg onload=alert(1)>",
    '=HYPERLINK("http://evil","x")',
    "+1+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(A1)",
)


def quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def hostile_journal() -> str:
    header = "timestamp,asset,side,account,currency,pnl,size_usd," + quoted(HOSTILE[0]) + "\n"
    # The larger loss is cut at the median of both, 300, and so becomes a moment.
    losses = {3: -500, 5: -100}
    rows = [
        f"2024-01-{day:02} 10:00:00,{quoted(cell)},{quoted(cell)},{quoted(cell)},{quoted(cell)},"
        f"{losses.get(day, 5 * day)},100,{quoted(cell)}\n"
        for day in range(1, 29)
        for cell in (HOSTILE[day % len(HOSTILE)],)
    ]
    return header + "".join(rows)


@pytest.fixture(scope="module")
def sample() -> Audited:
    return audit(SAMPLE, user_id="u1")


@pytest.fixture(scope="module")
def hostile() -> Audited:
    return audit(hostile_journal(), user_id="<script>alert(1)</script>")


def test_all_artifacts_are_there_with_their_types(sample: Audited) -> None:
    saved = sample.context.artifacts
    assert {name: (one.media_type, one.type) for name, one in saved.items()} == ARTIFACTS


def test_the_input_is_kept_as_it_came(sample: Audited) -> None:
    assert sample.context.artifacts["input.csv"].content == SAMPLE


def test_stages_run_in_their_order(sample: Audited) -> None:
    assert tuple(sample.context.finished_stages) == STAGES


def test_the_job_record_names_artifacts_by_id_and_no_path(sample: Audited) -> None:
    record = sample.json("job.json")
    assert record["artifacts"] == {name: name for name in ARTIFACTS}
    for name in ARTIFACTS:
        if name.endswith((".json", ".txt", ".html")):
            assert str(sample.context.folder.parent) not in sample.text(name)


def test_the_scratch_folder_is_left_empty(sample: Audited) -> None:
    assert list(sample.context.folder.iterdir()) == []


def test_the_review_has_exactly_the_stable_keys(sample: Audited) -> None:
    skeleton = review_skeleton()
    review = sample.review
    assert review.keys() == skeleton.keys()
    assert review["scoreboard"].keys() == skeleton["scoreboard"].keys()
    assert tuple(review["bias_rates"]) == tuple(sorted(RATES))
    assert set(review["badge_counts"]) == set(BADGES)
    assert review["execution_status"] == "COMPLETED"


def test_every_threshold_is_echoed(sample: Audited) -> None:
    echoed = sample.review["labeling_rules"]["thresholds"]
    fields = {field.name for field in BiasThresholds.DESCRIPTOR.fields} - {"overtrading_mode"}
    assert fields <= echoed["bias"].keys()
    assert echoed["bias"]["revenge_size_ratio"] == 2.5
    assert echoed["applied"]["daily_max_loss"] == sample.result.daily_max_loss


def test_a_threshold_of_the_spec_is_echoed_and_applied() -> None:
    spec = TradeAuditSpec(thresholds=BiasThresholds(revenge_size_ratio=9, revenge_min_prev_loss=0))
    review = audit(SAMPLE, spec=spec).review
    assert review["labeling_rules"]["thresholds"]["bias"]["revenge_size_ratio"] == 9
    assert review["bias_rates"]["revenge_rate"] == 0


def test_the_counterfactual_has_its_columns_in_order(sample: Audited) -> None:
    assert list(sample.rows("counterfactual.csv")[0]) == [
        "row",
        "timestamp",
        "account",
        "asset",
        "side",
        "size_usd",
        "pnl",
        "simulated_pnl",
        "delta",
        "revenge",
        "overtrading",
        "loss_aversion",
        "blocked_reason",
        "badge",
    ]


def test_the_parquet_twin_holds_the_same_rows(sample: Audited) -> None:
    content = sample.context.artifacts["counterfactual.parquet"].content
    table = pq.read_table(io.BytesIO(content))
    rows = sample.rows("counterfactual.csv")
    assert table.column_names == list(rows[0])
    assert table["simulated_pnl"].to_pylist() == [float(row["simulated_pnl"]) for row in rows]
    assert table["badge"].to_pylist() == [row["badge"] for row in rows]
    assert f"{table['timestamp'][0].as_py():%Y-%m-%dT%H:%M:%SZ}" == rows[0]["timestamp"]


def test_parquet_has_a_row_group_per_64k_rows() -> None:
    rows = HEADER + "2024-01-02 10:00:00,X,1,100,BUY,5\n" * 7000
    content = audit(rows, k_repeat=10).context.artifacts["counterfactual.parquet"].content
    metadata = pq.ParquetFile(io.BytesIO(content)).metadata
    assert [metadata.row_group(at).num_rows for at in range(2)] == [65_536, 4_464]


def test_the_result_of_the_worst_journal_stays_under_25_kib() -> None:
    # Names of 64 KiB of wide letters, every warning there is, and large numbers.
    name = "\N{GRINNING FACE}" * 16_384
    rows = "".join(
        f"0{1 + day % 9}/0{1 + day // 9}/2999 10:00,{name},-1,,{side},{pnl:.17g},{name[:100]},7\n"
        for day, (side, pnl) in enumerate((f"s{i}", 9.9e14 * (-1) ** i) for i in range(25))
    )
    header = "timestamp,asset,price,size_usd,side,pnl,currency,balance\n"
    done = audit(header + rows * 2 + "\n" + "x,\0,1\n" * 2, user_id="u" * 128)
    assert len(done.result.data_quality_warnings) > 10
    assert len(done.result.SerializeToString()) <= MAX_RESULT_BYTES
    assert len(done.result.top_moments) <= 3


class Markup(HTMLParser):
    """Collects what could run."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.policy = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "meta" and values.get("http-equiv") == "Content-Security-Policy":
            self.policy = values["content"] or ""
        if tag in {"script", "img", "iframe", "object", "embed", "link", "a", "base", "form"}:
            self.found.append(tag)
        self.found += [name for name in values if name.startswith("on") or name in {"href", "src"}]


def test_nothing_in_the_report_can_run_whatever_the_journal_says(hostile: Audited) -> None:
    markup = Markup()
    markup.feed(hostile.text("report.html"))
    assert markup.found == []
    assert markup.policy.startswith("default-src 'none'")
    assert hostile.review["top_moments"][0]["asset"] == HOSTILE[3]
    assert "&lt;/style&gt;&lt;svg onload" in hostile.text("report.html")
    assert "&lt;script&gt;" in hostile.text("report.html")


def test_text_cells_can_not_be_formulas_in_a_spreadsheet(hostile: Audited) -> None:
    for name in ("normalized.csv", "flagged.csv", "counterfactual.csv"):
        for row in hostile.rows(name):
            for column in ("asset", "account"):
                assert not row[column].startswith(("=", "+", "-", "@", "\t", "\r"))
    assets = {row["asset"] for row in hostile.rows("normalized.csv")}
    assert '\'=HYPERLINK("http://evil","x")' in assets


def test_negative_numbers_stay_numbers(hostile: Audited) -> None:
    assert min(hostile.column("normalized.csv", "pnl")) == -500


def test_the_twin_keeps_text_as_it_was(hostile: Audited) -> None:
    content = hostile.context.artifacts["counterfactual.parquet"].content
    assert HOSTILE[4] in pq.read_table(io.BytesIO(content))["asset"].to_pylist()


def digests(done: Audited) -> dict[str, str]:
    return {
        name: hashlib.sha256(one.content).hexdigest()
        for name, one in done.context.artifacts.items()
        if name != "runtime_metrics.json"
    }


OTHER_PROCESS = """
import sys
sys.path.insert(0, sys.argv[1])
from tests.kinds.trade_audit.test_artifacts import SAMPLE, audit, digests
for name, digest in sorted(digests(audit(SAMPLE, user_id="u1")).items()):
    print(name, digest)
"""


@pytest.mark.parametrize("seed", ["0", "12345"])
def test_another_process_writes_the_same_bytes(sample: Audited, seed: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", OTHER_PROCESS, str(ROOT)],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONHASHSEED": seed, "TZ": "Asia/Tokyo"},
    )
    assert dict(line.split() for line in done.stdout.splitlines()) == digests(sample)


LIGHT = """
import sys
from jobplane.engine.kinds.trade_audit import KIND
from jobplane.engine.kinds.trade_audit.skeleton import review_skeleton
assert KIND.name == "trade_audit" and review_skeleton()
print(sorted({"pandas", "pyarrow", "numpy"} & sys.modules.keys()))
"""


def test_the_description_imports_nothing_heavy() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIGHT], check=True, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def test_it_stops_at_every_safe_point() -> None:
    points = len(audit(SAMPLE).context.safe_points)
    assert points > len(STAGES)
    for passed in range(points):
        context = context_for(SAMPLE, stop_after=passed)
        with pytest.raises(Stopped):
            run(TradeAuditSpec(), context)


def test_a_long_audit_passes_safe_points_all_the_time() -> None:
    # 120,000 trades: 64k batches in each of the four tables, at least two each.
    rows = HEADER + "2024-01-02 10:00:00,X,1,100,BUY,5\n" * 12_000
    assert len(audit(rows, k_repeat=10).context.safe_points) > 25


def test_warnings_of_the_journal_become_warnings_of_the_job() -> None:
    done = audit(journal("02 10:00, 100, BUY, 5"))
    assert "SMALL_SAMPLE" in {reason for reason, _ in done.context.warnings}
    assert any(text.startswith("SMALL_SAMPLE: ") for text in done.outcome.warnings)


def test_the_metrics_of_the_outcome_can_be_filtered_on(sample: Audited) -> None:
    metrics = sample.outcome.metrics
    assert {"delta_pnl", "cost_of_bias", "any_bias_rate", "trade_count"} <= metrics.keys()
    assert sample.outcome.headline.startswith(sample.result.outcome)


def test_a_browser_shows_the_report_and_runs_nothing(hostile: Audited, tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        message = "no chromium: apt-get install chromium"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    page, picture = tmp_path / "report.html", tmp_path / "report.png"
    page.write_bytes(hostile.context.artifacts["report.html"].content)
    subprocess.run(
        [
            browser,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--window-size=1000,2400",
            f"--screenshot={picture}",
            page.as_uri(),
        ],
        check=True,
        capture_output=True,
        timeout=60,
    )
    deadline = time.monotonic() + 10
    while not picture.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert picture.read_bytes().startswith(b"\x89PNG")
    # An empty page of this size is a few kB.
    assert picture.stat().st_size > 40_000
