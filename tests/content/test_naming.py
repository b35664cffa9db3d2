"""Names of artifacts and files: which are taken, and what is said of the others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobplane.engine.domain.naming import artifact_id_problem, filename_problem


@pytest.mark.parametrize(
    "name", ["a", "report.html", "plots/equity.png", "_x/-y"[:2], "a" * 255, "a.b-c_d"]
)
def test_plain_names_of_artifacts_are_taken(name):
    assert artifact_id_problem(name) == ""


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/a",
        "a/",
        "a//b",
        ".",
        "..",
        "../a",
        "a/../b",
        "a..b",
        ".hidden",
        "a/.hidden",
        "-rf",
        "a b",
        "a\\b",
        "C:a",
        "a\0",
        "a\n",
        "é",
        "%2e%2e/a",
        "\u2024\u2024/a",
        "a" * 256,
    ],
)
def test_names_that_lead_elsewhere_or_deceive_are_refused(name):
    assert artifact_id_problem(name)


@given(st.text(max_size=300))
def test_a_filename_that_is_taken_is_one_plain_name(name):
    if not filename_problem(name):
        assert len(name.encode()) <= 255
        assert not {"/", "\\", "\0", "\n"} & set(name)
        assert name not in {".", ".."}
