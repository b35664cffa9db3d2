"""Arrow: pyarrow, which ships no types, under names that checkers take as they are."""

from typing import Any

import pyarrow  # type: ignore[import-untyped]  # noqa: ICN001  ships no types; pa is typed below
import pyarrow.compute  # type: ignore[import-untyped]  # ships no types
import pyarrow.csv  # type: ignore[import-untyped]  # ships no types
import pyarrow.parquet  # type: ignore[import-untyped]  # ships no types

pa: Any = pyarrow
pc: Any = pyarrow.compute
pa_csv: Any = pyarrow.csv
pq: Any = pyarrow.parquet
