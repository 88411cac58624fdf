"""Filters in Postgres: what a condition finds, that nothing of a user's reaches it but as a value, what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable

import psycopg
import pytest
from fakes import Execute
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg import sql
from psycopg.types.json import Jsonb

from vector_assets.records import KeyColumn
from vector_assets.search.filters import Filter
from vector_assets.spec import Collection
from vector_assets.stores.relation import Relation
from vector_assets.stores.search_sql.conditions import column_types, columns_literal, filter_columns
from vector_assets.stores.workspace import Workspace

ODD = ['q"uote', "it's", "100%", "a;b", "größe", "%s", "{x}", "back\\slash"]
Find = Callable[[Filter], list[int]]
FIELDS = {
    "topic": "category", "price": "number", "whole": "number", "exact": "number", "small": "number",
    "published": "datetime", "local": "datetime", "day": "datetime", "short": "category", "mood": "category",
    "positive": "number", "padded": "category", "picture": "image", "flag": "category", "tags": "category",
    "sizes": "number", "moods": "category", "folded": "category", "listed": "category",
    **dict.fromkeys(ODD, "category"),
}  # fmt: skip


#: A type whose operators stand in a schema that no search path has, as citext's may: texts without regard to case.
FOLDED = "; ".join(
    [
        "create schema apart; create type apart.folded",
        "create function apart.read(cstring) returns apart.folded language internal immutable strict as 'textin'",
        "create function apart.show(apart.folded) returns cstring language internal immutable strict as 'textout'",
        "create type apart.folded (input = apart.read, output = apart.show, like = text)",
        "create cast (apart.folded as text) without function as implicit",
        "create cast (text as apart.folded) without function",
        "create function apart.order(apart.folded, apart.folded) returns integer language sql immutable as "
        "'select bttextcmp(lower($1::text), lower($2::text))'",
        *(
            f"create function apart.is_{number}(apart.folded, apart.folded) returns boolean language sql immutable as "
            f"'select apart.order($1, $2) {op} 0'; "
            f"create operator apart.{op} (leftarg = apart.folded, rightarg = apart.folded, "
            f"function = apart.is_{number})"
            for number, op in enumerate(("<", "<=", "=", ">=", ">", "<>"))
        ),
        "create operator class apart.folded_ops default for type apart.folded using btree as "
        + ", ".join(f"operator {n} apart.{op}" for n, op in enumerate(("<", "<=", "=", ">=", ">"), start=1))
        + ", function 1 apart.order(apart.folded, apart.folded)",
    ]
)


def compared(field: str, op: str, value: object) -> dict[str, object]:
    return {"field": field, "op": op, "value": value}


@pytest.fixture(scope="module")
def url(workspace: Workspace) -> str:
    """The database, with a table ``public.filtered`` that has a column of every kind."""
    url = workspace.addresses.database.libpq
    with psycopg.connect(url, autocommit=True) as connection:
        odd = sql.SQL("").join(sql.SQL(", {} text").format(sql.Identifier(name)) for name in ODD)
        connection.execute("create type public.mood as enum ('sad', 'glad')")
        connection.execute("create domain public.positive as numeric check (value > 0)")
        connection.execute("create domain public.listed as varchar(5)[]")
        connection.execute(FOLDED)
        connection.execute(
            sql.SQL(
                "create table public.filtered (id bigint primary key, topic text, price float8, whole bigint, "
                "exact numeric(10, 2), small real, published timestamptz, local timestamp, day date, "
                "short varchar(3), mood public.mood, positive public.positive, padded char(4), picture bytea, "
                "flag boolean, tags text[], sizes integer[], moods public.mood[], folded apart.folded, "
                "listed public.listed{})"
            ).format(odd)
        )
        connection.execute(
            "insert into public.filtered (id, topic, price, whole, exact, small, published, local, day, short, mood, "
            "positive, padded) select i, case when i %% 4 > 0 then 't' || i %% 4 end, i / 2.0, i, i / 4.0, i / 10.0, "
            "'2024-01-01Z'::timestamptz + i * interval '1 hour', '2024-01-01'::timestamp + i * interval '1 hour', "
            "'2024-01-01'::date + i, 'a' || i, case when i %% 2 = 0 then 'sad' else 'glad' end::mood, i, 'p' || i "
            "from generate_series(1, 40) i",
            (),
        )
        connection.execute(
            "update public.filtered set flag = id %% 2 = 0, sizes = array[id, id + 1], moods = array[mood], "
            "folded = ('Cs' || id)::apart.folded, listed = array['l' || id], tags = case when id %% 4 = 0 then null "
            "when id %% 4 = 1 then array['cs', 'math'] when id %% 4 = 2 then array['bio', null] else '{}' end",
            (),
        )
        for name in ODD:
            connection.execute(
                sql.SQL("update public.filtered set {} = id::text").format(sql.Identifier(name.replace("%", "%%"))), ()
            )
        connection.execute("create index on public.filtered (whole)")
    return url


@pytest.fixture(scope="module")
def columns(url: str) -> sql.Composed:
    collection = Collection.model_validate(
        {
            "name": "filtered",
            "source": {"kind": "postgres", "table": "filtered"},
            "fields": FIELDS,
            "spaces": {"text": {"fields": ["topic"]}},
        }
    )
    relation = Relation(
        sql.Identifier("public", "filtered"), (KeyColumn("id", "bigint"),), images=frozenset(["picture"])
    )
    with psycopg.connect(url) as connection:
        return columns_literal(filter_columns(column_types(connection, relation), collection, relation))


@pytest.fixture(scope="module")
def condition(url: str, columns: sql.Composed) -> Callable[[object], str]:
    """Compiles a filter, in a session whose settings are not ours."""

    def compile_(tree: object) -> str:
        with psycopg.connect(url, options="-c timezone=Asia/Tokyo -c datestyle=SQL,DMY") as connection:
            text = sql.SQL("select search._condition({}, {})").format(sql.Literal(Jsonb(tree)), columns)
            row = connection.execute(text).fetchone()
        assert row is not None
        return str(row[0])

    return compile_


@pytest.fixture(scope="module")
def find(url: str, condition: Callable[[object], str]) -> Find:
    """The rows that a filter finds."""

    def found(tree: Filter) -> list[int]:
        with psycopg.connect(url, options="-c timezone=Asia/Tokyo -c datestyle=SQL,DMY") as connection:
            connection.execute("set search_path = pg_catalog")
            rows = connection.execute(
                f"select r.id from public.filtered r where {condition(tree)} order by r.id"  # type: ignore[arg-type]
            ).fetchall()
        return [row[0] for row in rows]

    return found


def hour(number: int) -> str:
    return f"2024-01-01T{number:02}:00:00+00:00"


@pytest.mark.parametrize(
    ("tree", "rows"),
    [
        (compared("topic", "=", "t1"), range(1, 41, 4)),
        (compared("topic", "!=", "t1"), [i for i in range(1, 41) if i % 4 > 1]),
        ({"not": compared("topic", "=", "t1")}, [i for i in range(1, 41) if i % 4 > 1]),
        (compared("topic", "is", None), range(4, 41, 4)),
        ({"not": compared("topic", "is", None)}, [i for i in range(1, 41) if i % 4]),
        (compared("topic", "in", ["t1", "t3"]), range(1, 41, 2)),
        (compared("topic", "in", []), []),
        ({"not": compared("topic", "in", ["t1", "t3"])}, range(2, 41, 4)),
        (compared("id", "<=", 3), [1, 2, 3]),
        (compared("id", "=", "3"), [3]),
        (compared("price", "<", 1.75), [1, 2, 3]),
        (compared("whole", "<", 2.5), [1, 2]),
        (compared("whole", "=", 2.0), [2]),
        (compared("whole", "<", 10**30), range(1, 41)),
        (compared("exact", "=", 0.25), [1]),
        (compared("exact", ">", 9.999), [40]),
        (compared("exact", "=", 9.999), []),
        (compared("small", "=", 0.1), [1]),
        (compared("published", "<=", hour(2)), [1, 2]),
        (compared("published", "<=", "2024-01-01T11:00:00+09:00"), [1, 2]),
        (compared("published", "<=", "2024-01-01T02:00:00"), [1, 2]),
        (compared("published", ">=", "2024-01-02"), range(24, 41)),
        (compared("local", "<=", "2024-01-01T11:00:00+09:00"), [1, 2]),
        (compared("day", "<=", "2024-01-03"), [1, 2]),
        (compared("day", "<", "2024-01-03T00:00:01"), [1, 2]),
        (compared("short", "=", "a12"), [12]),
        (compared("short", "=", "a123"), []),
        (compared("padded", "=", "p12"), [12]),
        (compared("padded", "=", "p1234"), []),
        (compared("mood", "=", "sad"), range(2, 41, 2)),
        (compared("positive", ">", -1), range(1, 41)),
        ({"and": [compared("id", ">", 3), compared("id", "<", 6)]}, [4, 5]),
        ({"or": [compared("id", "=", 3), {"and": [compared("id", ">", 5), compared("id", "<", 7)]}]}, [3, 6]),
        ({"and": []}, range(1, 41)),
        ({"or": []}, []),
        (compared("flag", "=", True), range(2, 41, 2)),
        (compared("flag", "=", "true"), range(2, 41, 2)),
        (compared("flag", "!=", True), range(1, 41, 2)),
        (compared("flag", "in", [False]), range(1, 41, 2)),
        (compared("tags", "has", "cs"), range(1, 41, 4)),
        (compared("tags", "has", "bio"), range(2, 41, 4)),
        ({"not": compared("tags", "has", "cs")}, range(3, 41, 4)),  # null, and a list with null in it, are neither
        (compared("tags", "is", None), range(4, 41, 4)),
        (compared("tags", "has", "{cs}"), []),
        (compared("sizes", "has", 7), [6, 7]),
        (compared("sizes", "has", 7.5), []),
        (compared("moods", "has", "sad"), range(2, 41, 2)),
        (compared("listed", "has", "l12"), [12]),
        (compared("listed", "has", "l12 and more"), []),
        (compared("folded", "=", "cS12"), [12]),
        (compared("folded", "!=", "cS12"), [i for i in range(1, 41) if i != 12]),
        (compared("folded", "in", ["CS3", "cs12", "none"]), [3, 12]),
        (compared("folded", "<", "CS11"), [1, 10]),
        (compared("small", "<", 1e300), range(1, 41)),
        (compared("small", "in", [0.1, 1e300]), [1]),
        (compared("small", ">", -(10**60)), range(1, 41)),
        (compared("small", ">", 1e-300), range(1, 41)),
        (compared("small", "=", 3.4028234663852886e38), []),
        (compared("price", "<", 1.7e308), range(1, 41)),
    ],
)
def test_what_a_condition_finds(find: Find, tree: Filter, rows: object) -> None:
    assert find(tree) == list(rows)  # type: ignore[call-overload]


@pytest.mark.parametrize("field", ODD)
def test_any_name_of_a_column_can_be_asked_for(find: Find, field: str) -> None:
    assert find(compared(field, "=", "7")) == [7]


HOSTILE = ["'", "''", "' or true --", "\\' or true", '"; drop table x', "$$", "%s %I", "{x}", "\u202e", "a\nb", "🦉"]


@pytest.mark.parametrize("value", HOSTILE)
def test_a_hostile_value_is_a_value(find: Find, execute: Execute, url: str, value: str) -> None:
    execute("update public.filtered set topic = %s where id = 40", (value,))
    assert find(compared("topic", "=", value)) == [40]
    assert find(compared("topic", "in", [value, "none"])) == [40]


@pytest.mark.parametrize("field", ["' or true --", 'r."id"', "id or true", "expr", "", "ctid", "picture", "tableoid"])
def test_a_hostile_name_is_no_field(condition: Callable[[object], str], field: str) -> None:
    with pytest.raises(psycopg.errors.DataException, match="is not a field; expected one of %s, 100%, "):
        condition(compared(field, "=", "1"))


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_any_text_is_taken_as_it_is(condition: Callable[[object], str], url: str, value: str) -> None:
    with psycopg.connect(url) as connection:
        made = condition(compared("topic", "=", value)).replace('"r"."topic"', "%s::text")
        # What remains is one literal: equal to the value, and to nothing else.
        literal = made.removeprefix("(%s::text = ").removesuffix(")")
        row = connection.execute(f"select {literal}".encode()).fetchone()
    assert row == (value,)


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        (None, "null is no condition"),
        ([], r"\[\] is no condition"),
        ("topic = 1", "is no condition"),
        ({}, "expected the keys field, op and value"),
        (compared("topic", "=", 1) | {"and": []}, "expected the keys field, op and value"),
        ({"and": {}}, "and has {}; expected a list"),
        (compared("topic", "like", "x"), '"like" is no operator'),
        (compared("topic", "= 1 or 1 =", "x"), "is no operator"),
        (compared("topic", None, "x"), "null is no operator"),
        ({"field": None, "op": "=", "value": 1}, "is not a field"),
        (compared("topic", "=", None), '"topic" is compared with null'),
        (compared("topic", "=", ["x"]), "is compared with"),
        (compared("topic", "in", "x"), "expected a list"),
        (compared("topic", "in", [None]), "is compared with null"),
        (compared("topic", "is", "x"), "expected null"),
        (compared("price", "<", "1 or true"), '"price" is a number, found "1 or true"'),
        (compared("price", "<", "NaN"), "is a number"),
        (compared("price", "<", True), "is a number"),
        (compared("published", "<", "now"), '"published" is a time, found "now"'),
        (compared("published", "<", "2024-13-01"), "out of range"),
        (compared("topic", "in", ["x"] * 10_001), "10001 values"),
        (
            compared("tags", "=", "cs"),
            '"tags" is a list of values; expected has, which asks for one of them, or is null',
        ),
        (compared("tags", "in", ["cs"]), '"tags" is a list of values; expected has'),
        (compared("topic", "has", "cs"), '"topic" has one value; expected = or in'),
        (compared("tags", "has", ["cs"]), '"tags" is compared with'),
        (compared("sizes", "has", "cs"), '"sizes" is a number, found "cs"'),
        (
            compared("price", "<", 10**309),
            '"price" is compared with 10000000000000000000…, which no number of 8 bytes is',
        ),
        (compared("price", ">", "-1e400"), '"price" is compared with -1e400, which no number of 8 bytes is; expected'),
        (compared("small", ">", "1e-999"), '"small" is compared with 1e-999, which no'),
    ],
)
def test_what_is_no_filter_is_refused_in_a_line(condition: Callable[[object], str], tree: object, message: str) -> None:
    with pytest.raises(psycopg.errors.DataError, match=message) as caught:
        condition(tree)
    assert "\n" not in str(caught.value.diag.message_primary)


@pytest.mark.parametrize(("field", "value"), [("flag", "maybe"), ("mood", "angry")])
def test_a_value_that_its_column_cannot_hold_is_an_error_of_data(find: Find, field: str, value: str) -> None:
    with pytest.raises(
        psycopg.errors.DataError, match=r"invalid input syntax for type boolean|invalid input value for enum"
    ):
        find(compared(field, "=", value))


def test_depth_is_bounded(condition: Callable[[object], str]) -> None:
    tree: object = compared("id", "=", 1)
    for _ in range(32):
        tree = {"not": tree}
    assert condition(tree)
    for _ in range(500):
        tree = {"not": tree}
    with pytest.raises(psycopg.errors.DataException, match="more than 32 levels"):
        condition(tree)


@pytest.mark.parametrize("value", [5, 5.0, "5"])
def test_an_index_on_the_column_serves(execute: Execute, condition: Callable[[object], str], value: object) -> None:
    made = condition(compared("whole", "=", value))
    with_index = execute(f"explain (format json) select 1 from public.filtered r where {made}")
    assert "whole = '5'::bigint" in json.dumps(with_index[0][0])
