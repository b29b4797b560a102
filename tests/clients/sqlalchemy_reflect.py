"""Run by tests/clients/sqlalchemy; warnings are errors, so that a type SQLAlchemy does not know is one."""
import datetime
import decimal
import os

import psycopg
from sqlalchemy import MetaData, create_engine, func, inspect, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import NullType

# psycopg: values are what Python has for their types.
with psycopg.connect() as connection:
    row = connection.execute("SELECT * FROM cdp.profiles WHERE name = %s", ("Person 7",)).fetchone()
    types = [type(value) for value in row]
    expected = [int, bool, str, int, datetime.date, datetime.datetime, decimal.Decimal, list]
    assert sorted(map(str, types[:-1])) == sorted(map(str, [*expected])), types
    assert row[-1] == 3, row
    binary = connection.cursor(binary=True).execute("SELECT * FROM cdp.profiles WHERE name = %s", ("Person 7",)).fetchone()
    assert binary == row, (binary, row)
    assert connection.execute("SELECT cdp_segment_count(%s)", ("tier = 3",)).fetchone() == (50,)
    # Kept plans: the sixth run of a statement is prepared on the server.
    for tier in range(12):
        connection.execute("SELECT cdp_segment_count(%s)", (f"tier = {tier % 4}",), prepare=True)
    picture = connection.execute("SELECT cdp_profile('email', 'p7@example.com')").fetchone()[0]
    assert picture["traits"]["spent"]["value"] == 8.75 and picture["traits"]["spent"]["source"] == "crm", picture

engine = create_engine(f"postgresql+psycopg:///{os.environ['PGDATABASE']}?host={os.environ['PGHOST']}&port={os.environ['PGPORT']}&user={os.environ['PGUSER']}")
found = inspect(engine)
views = found.get_view_names(schema="cdp")
assert {"profiles", "identifiers", "events", "attributes", "segments", "segment_members", "sources", "merges"} <= set(views), views
columns = 0
for view in views:
    assert found.get_table_comment(view, schema="cdp")["text"], f"{view} has no comment"
    for column in found.get_columns(view, schema="cdp"):
        where = f"{view}.{column['name']}: {column['type']!r}"
        assert not isinstance(column["type"], (NullType, postgresql.ENUM, postgresql.DOMAIN)), where
        assert column["comment"], f"{where} has no comment"
        columns += 1

metadata = MetaData(schema="cdp")
metadata.reflect(engine, views=True)
profiles = metadata.tables["cdp.profiles"]
assert profiles.c.spent.type.python_type is decimal.Decimal and profiles.c.tier.type.python_type is int
assert profiles.c.visits.comment == "how often they came"
with engine.connect() as connection:
    by_tier = connection.execute(select(profiles.c.tier, func.count()).group_by(profiles.c.tier).order_by(profiles.c.tier)).all()
    assert by_tier == [(tier, 50) for tier in range(4)], by_tier
    events = metadata.tables["cdp.events"]
    joined = select(func.count()).select_from(profiles.join(events, profiles.c.profile_id == events.c.profile_id)).where(profiles.c.member)
    assert connection.execute(joined).scalar() == 300, "events of members"
print(f"{len(views)} views, {columns} columns")
