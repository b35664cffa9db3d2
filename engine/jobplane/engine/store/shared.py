"""Statements over values that all servers of one database share."""

from collections.abc import Callable

from sqlalchemy import bindparam, insert, select

from jobplane.engine.store.database import Transaction
from jobplane.engine.store.tables import shared_values

_FIND = select(shared_values.c.value).where(shared_values.c.key == bindparam("key"))


def get_or_make(transaction: Transaction, key: str, make: Callable[[], bytes]) -> bytes:
    """The value of a key; the first to ask makes it."""
    connection = transaction.connection
    value: bytes | None = connection.execute(_FIND, {"key": key}).scalar()
    if value is None:
        value = make()
        connection.execute(insert(shared_values), {"key": key, "value": value})
    return value
