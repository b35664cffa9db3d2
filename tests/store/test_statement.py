"""Statements run with the values they are given and those they bring."""

from sqlalchemy import bindparam, create_engine, select, update

from jobplane.engine.store.statement import ManyFind, ManyInsert, Statement, insertion
from jobplane.engine.store.tables import shared_values


def connection():
    connection = create_engine("sqlite://").connect()
    shared_values.create(connection)
    Statement(insertion(shared_values)).run(connection, {"key": "a", "value": b"1"})
    return connection


def test_a_value_of_the_statement_itself_is_kept():
    with connection() as open_connection:
        find = Statement(select(shared_values.c.key).where(shared_values.c.value == b"1"))
        assert find.run(open_connection).scalar() == "a"


def test_a_none_of_the_statement_itself_is_not_asked_for():
    with connection() as open_connection:
        nothing = Statement(
            update(shared_values)
            .where(shared_values.c.key == bindparam("of_key"))
            .values(value=bindparam("value", None))
        )
        assert "value" in nothing._compile(open_connection).constants


def test_many_rows_go_in_one_call():
    with connection() as open_connection:
        rows = [{"key": str(number), "value": b""} for number in range(3)]
        Statement(insertion(shared_values)).run_many(open_connection, rows)
        find = Statement(select(shared_values.c.key).where(shared_values.c.value == b""))
        assert len(find.run(open_connection).all()) == 3


def test_any_number_of_rows_is_inserted_and_found_with_few_statements():
    with connection() as open_connection:
        insert, find = (
            ManyInsert(shared_values),
            ManyFind(select(shared_values.c.key), shared_values.c.key),
        )
        for count in (1, 8, 9, 64, 200):
            keys = [f"{count}-{number}" for number in range(count)]
            insert.run(open_connection, [{"key": key, "value": b""} for key in keys])
            found = find.run(open_connection, {}, keys)
            assert sorted(row.key for row in found) == sorted(keys)
        assert len(insert._statements._statements) <= 8 + 3
