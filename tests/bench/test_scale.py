import asyncio

import pytest

from bench import filled, scale
from jobplane.engine.checker import Checker
from jobplane.engine.content.store import ContentStore
from jobplane.engine.store.database import sqlite_url


@pytest.fixture
def folders(tmp_path):
    made = []
    for count in (20, 150):
        folder = tmp_path / str(count)
        folder.mkdir()
        filled.fill(folder, count)
        made.append(folder)
    return made


def test_every_call_is_measured_on_a_filled_store_of_each_size(folders, monkeypatch):
    monkeypatch.setattr(scale, "_PAGE", 5)
    few, many = asyncio.run(scale._measured(folders, 1))
    assert set(few) == set(many) == set(scale.TARGETS)
    assert all(value > 0 for value in (*few.values(), *many.values()))


def test_a_filled_store_keeps_every_promise(folders):
    for folder in folders:
        store = ContentStore(folder / "content")
        checker = Checker(url=sqlite_url(folder / "jobplane.db"), content=store)
        assert checker.findings() == []
