"""``search.<collection>_bm25(…)``: the rows that a question's words say most about, by Okapi BM25.

Scores are Lucene's, as bm25s gives them for method="lucene": ln(1 + (N - df + .5) / (df + .5)) for each word that is
asked, times tf / (tf + k1 (1 - b + b length / mean length)).

The k best are found without adding up everything (MaxScore: Turtle and Flood, "Query evaluation: strategies and
optimizations", 1995). Rare words come first, and no word can add more than its weight. Once the words that are left
cannot lift a row that none of the earlier ones named (``rest < bar``), only rows found so far are followed; a row that
cannot reach the k-th best any more is dropped. What a row is worth in full is known from what it was counted as, so the
bar is that of the k best rows looked up in full. Where few rows are left, all are looked up, and the common words,
which are most of the work, are never read.
"""

from __future__ import annotations

from typing import LiteralString

from psycopg import sql

from vector_assets.spec import Lexical
from vector_assets.stores.lexical.index import LexicalIndex
from vector_assets.stores.relation import Relation
from vector_assets.stores.search_sql.bm25_filter import DEEPEST, filtered_first
from vector_assets.stores.search_sql.conditions import columns_literal, filter_columns
from vector_assets.stores.search_sql.made import Served, SqlFunction

# A partial sum may differ in its last digits from the same words added in another order.
_SLACK = 1e-8
# Measured on 100,000 abstracts (benchmarks/bm25.py), the longest claims above all.
_FIRST = 2_500  # postings that are read first at least: the bar they give decides how much else is read
_BATCH = 5_000  # postings that are read at once at least: a statement costs as much as some hundreds
_MOST = 45_000  # postings that are read at once at most, of several words, to get to where rows can be dropped
_FAR = 0.75  # share of the bar that the words left are brought below: at the bar itself hardly a row is dropped
_BEST = 50  # rows beyond k that are looked up in full for the bar
_LOOKED_UP = 10  # postings that cost as much to read as one row to look up

_VARIABLES: LiteralString = (
    "declare total float8; mean float8; flat float8; steep float8; asked bigint[]; weights float8[]; held bigint[]; "
    "rest float8; batch bigint; bar float8 := 0; docs integer[]; sums float8[]; closed boolean := false; "
    "i integer := 0; j integer; shown text; deep float8; begin "
)
_WEIGH: LiteralString = (
    "if k < 1 then return; end if; "
    "k := least(k, 1000000000); "  # null: all
    "select sum(d.documents), sum(d.words) / nullif(sum(d.documents), 0) into total, mean "
    "from {deltas} d where d.collection = {collection} and d.analyser = {analyser}; "
    "if coalesce(mean, 0) = 0 then return; end if; "
    "flat := {k1} * (1 - {b}); steep := {k1} * {b} / mean; "
    "select array_agg(s.term order by s.weight desc, s.term), array_agg(s.weight order by s.weight desc, s.term), "
    "array_agg(s.held order by s.weight desc, s.term), sum(s.weight) "
    "into asked, weights, held, rest from "
    "(select a.term, d.held, a.times * ln(1 + (total - d.held + 0.5::float8) / (d.held + 0.5::float8)) as weight from "
    '(select hashtextextended(w.word collate "C", 0) as term, count(*) as times from unnest({words}(q)) w (word) '
    "group by 1) a cross join lateral (select sum(p.n) as held from {postings} p where p.term = a.term) d "
    "where d.held > 0) s; "
    "if asked is null then return; end if; "
)
# Words' shares in scores. A posting: number << 32 | length << 12 | times, n < 0: taken away. Masked: length << 12.
_SHARES: LiteralString = (
    "select (n.posting >> 32)::integer as doc, n.weight / (1 + (flat + steep / 4096 * (n.posting & 4294963200)) "
    "/ (n.posting & 4095)) as share from (select a.weight * sign(p.n) as weight, unnest(p.postings) as posting "
    "from unnest(asked[i + 1:j], weights[i + 1:j]) a (term, weight) join {postings} p on p.term = a.term offset 0) n "
    "{only}"
)
_OPEN: LiteralString = (
    "select g.doc, sum(g.share) as share from "
    "(select unnest(docs) as doc, unnest(sums) as share union all {shares}) g "
    "group by g.doc having sum(g.share) >= {kept}"
)
_CLOSED: LiteralString = (
    "select c.doc, c.share + coalesce(f.share, 0) as share from unnest(docs, sums) c (doc, share) "
    "left join (select g.doc, sum(g.share) as share from ({shares}) g group by g.doc) f on f.doc = c.doc "
    "where c.share + coalesce(f.share, 0) >= {kept}"
)
_ONLY: LiteralString = "where exists (select from unnest(docs) o (doc) where o.doc = (n.posting >> 32)::integer)"
# What a row's words after the {after}-th asked one add. They are in ascending order: width_bucket finds one by halving.
_LEFT: LiteralString = (
    "coalesce((select sum(a.weight / (1 + (flat + steep * r.length) / r.times[width_bucket(a.term, r.terms)])) "
    "from unnest(asked[{after} + 1:], weights[{after} + 1:]) a (term, weight) "
    "where r.terms[width_bucket(a.term, r.terms)] = a.term), 0)"
)
# The bar: the k-th best of the sums so far, or of some rows looked up in full, whichever is higher.
_STEP: LiteralString = (
    "with found as materialized ({found}), "
    "best as materialized (select b.doc, b.share from found b order by b.share desc limit k + {best}), "
    "lifted as materialized (select greatest(bar, (select b.share from best b order by b.share desc offset k - 1 "
    "limit 1), (select l.score from (select b.share + {left} as score from best b join {rows} r on r.doc = b.doc "
    "where k <= {deepest} offset 0) l order by l.score desc offset k - 1 limit 1)) as bar) "
    "select max(l.bar), array_agg(f.doc), array_agg(f.share) into bar, docs, sums from lifted l "
    "left join found f on f.share >= l.bar - rest - {slack}; "
)
_REFUSED: LiteralString = (
    "if filter is not null then raise exception 'filter is not supported here' "
    "using errcode = 'feature_not_supported'; end if; "
)
_LOOP: LiteralString = (
    "while i < cardinality(asked) loop "
    "j := i; batch := 0; "
    "while j < cardinality(asked) and "
    "(j = i or i = 0 and batch < {least} or batch + held[j + 1] <= "
    "case when bar > 0 and not closed and rest >= bar * {far} then {most} "
    "else greatest({batch}, cardinality(docs)) end) loop "
    "j := j + 1; batch := batch + held[j]; rest := rest - weights[j]; end loop; "
    "if closed then {closed} else {open} end if; "
    "i := j; "
    "closed := closed or rest < bar - {slack}; "
    "exit when docs[1] is null; "
    "exit when closed and i < cardinality(asked) and cardinality(docs) * {looked_up} < held[i + 1] + {batch}; "
    "end loop; "
)
# Equal rows have equal scores, in whatever order their words were added: nine digits are told apart.
_ANSWER: LiteralString = (
    "if i = cardinality(asked) then "
    "return query select {keys}, round(c.share * 1e9) / 1e9 from unnest(docs, sums) c (doc, share) "
    "join {rows} r on r.doc = c.doc where c.share > 1e-13 order by round(c.share * 1e9) desc, {keys} limit k; "
    "else "
    "return query select {ckeys}, round(c.share * 1e9) / 1e9 from (select {keys}, d.share + {left} as share "
    "from unnest(docs, sums) d (doc, share) join {rows} r on r.doc = d.doc offset 0) c where c.share > 1e-13 "
    "order by round(c.share * 1e9) desc, {ckeys} limit k; "
    "end if; end"
)


def bm25_function(served: Served, index: LexicalIndex) -> SqlFunction:
    """Compose the function of a collection over an index that is complete."""
    lexical = served.collection.lexical
    assert lexical is not None
    guard = sql.SQL("perform {}; ").format(served.unguarded) if served.unguarded else sql.SQL("")
    function = served.names.table("search", served.label + "_bm25")
    condition = sql.SQL("{}._condition(filter, {})").format(
        served.names.schema("search"),
        columns_literal(filter_columns(served.types, served.collection, served.relation)),
    )
    definition = compose_bm25(
        function, index, served.relation, lexical, guard=guard, path=served.path, condition=condition
    )
    return SqlFunction(served.label + "_bm25", "text, integer, jsonb", definition)


def compose_bm25(
    function: sql.Identifier,
    index: LexicalIndex,
    relation: Relation,
    lexical: Lexical,
    *,
    guard: sql.Composable,
    path: sql.Composable,
    condition: sql.Composable | None,
) -> sql.Composed:
    """Compose ``create function``: it returns the key under the source's names, and the score.

    ``condition`` is an expression for the text of a condition that the argument ``filter`` stands for, in a query where
    the source is ``r``; None refuses filters.
    """
    parts: dict[str, sql.Composable] = {
        "deltas": index.names.table("ops", "bm25_deltas"),
        "collection": sql.Literal(index.collection),
        "analyser": sql.Literal(index.analyser),
        "k1": sql.SQL("{}::float8").format(sql.Literal(lexical.k1)),
        "b": sql.SQL("{}::float8").format(sql.Literal(lexical.b)),
        "words": index.words,
        "postings": index.postings,
        "rows": index.rows,
        "keys": relation.stored_key("r"),
        "ckeys": relation.stored_key("c"),
        "slack": sql.Literal(_SLACK),
        "batch": sql.Literal(_BATCH),
        "best": sql.Literal(_BEST),
        "deepest": sql.Literal(DEEPEST),
        "least": sql.Literal(_FIRST),
        "most": sql.Literal(_MOST),
        "far": sql.Literal(_FAR),
        "left": sql.SQL(_LEFT).format(after=sql.SQL("i")),
        "looked_up": sql.Literal(_LOOKED_UP),
    }
    steps = {}
    # What was taken away adds up to nothing.
    kept = "bar - rest - {slack}"
    for name, found, only, least in (
        ("open", _OPEN, "", f"greatest({kept}, 1e-13)"), ("closed", _CLOSED, _ONLY, kept)
    ):  # fmt: skip
        shares = sql.SQL(_SHARES).format(**parts, only=sql.SQL(only))
        steps[name] = sql.SQL(_STEP).format(
            **{**parts, "left": sql.SQL(_LEFT).format(after=sql.SQL("j"))},
            found=sql.SQL(found).format(shares=shares, kept=sql.SQL(least).format(**parts)),
        )
    body = sql.SQL("{variables}{guard}{refused}{weigh}{filtered}{loop}{answer}").format(
        variables=sql.SQL(_VARIABLES),
        guard=guard,
        refused=sql.SQL("" if condition else _REFUSED),
        filtered=filtered_first(function, index, relation, condition) if condition else sql.SQL(""),
        weigh=sql.SQL(_WEIGH).format(**parts),
        loop=sql.SQL(_LOOP).format(**parts, **steps),
        answer=sql.SQL(_ANSWER).format(**parts),
    )
    columns = sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(column.name), sql.SQL(column.type)) for column in relation.key
    )
    return sql.SQL(
        "create or replace function {function}(q text, k integer default 10, filter jsonb default null) "
        "returns table ({columns}, score double precision) language plpgsql stable security definer rows 10 "
        "set search_path = {path} set jit = off set work_mem = '64MB' "
        "set plan_cache_mode = force_generic_plan as {body}"
    ).format(
        function=function,
        columns=columns,
        path=path,
        body=sql.Literal("#variable_conflict use_column " + body.as_string(None)),
    )
