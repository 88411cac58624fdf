-- Filters of a search: a JSON tree becomes a condition over columns that the caller of the function names.
--
-- columns has for every field an object of expr (v."f_topic"), type (pg_catalog.text) and kind (text), written by
-- stores/search_sql/conditions.py: expr and type are ours and go into SQL as they are; fields and values are a user's
-- and never do but through %L. A value is cast, not the column, so that an index on the column can serve.
-- As in SQL, a comparison with a value that is not there is neither true nor false.

-- A time as the column's own kind has it. Without a zone it is UTC, whatever the session says.
create function {search}._condition_time(field text, said text, kind text) returns text
language plpgsql immutable parallel safe set timezone = 'UTC' set datestyle = 'ISO, YMD' as $$
begin
    if said !~ '^\d{{4}}-\d\d-\d\d' then
        raise exception 'filter: % is a time, found %; expected one such as 2024-01-31 or 2024-01-31T12:00:00+01:00',
            to_json(field), to_json(left(said, 60)) using errcode = 'data_exception';
    end if;
    if kind = 'timestamptz' then
        return format('%L::pg_catalog.timestamptz', said::timestamptz);
    elsif kind = 'date' and said ~ '^\d{{4}}-\d\d-\d\d$' then
        return format('%L::pg_catalog.date', said::date);
    end if;
    return format('%L::pg_catalog.timestamp', said::timestamptz at time zone 'UTC');
end $$;

-- The value as SQL of the column's own type. No search_path is set, which would cost more than the rest: who calls these
-- with rights of its own has pinned one, and others call with theirs.
create function {search}._condition_value(field text, value jsonb, definition jsonb) returns text
language plpgsql immutable parallel safe as $$
declare
    kind text := definition->>'kind';
    said text := value #>> '{{}}';
begin
    if value is null or jsonb_typeof(value) not in ('string', 'number', 'boolean') then
        raise exception 'filter: % is compared with %; expected a value', to_json(field),
            coalesce(left(value::text, 60), 'nothing') using errcode = 'data_exception';
    end if;
    if kind in ('timestamptz', 'timestamp', 'date') then
        return {search}._condition_time(field, said, kind);
    elsif kind in ('integer', 'float', 'numeric') then
        if jsonb_typeof(value) = 'boolean' or said !~ '^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{{1,3}})?$' then
            raise exception 'filter: % is a number, found %', to_json(field), left(value::text, 60)
                using errcode = 'data_exception';
        end if;
        -- A number that no integer equals is compared as what it is, at the cost of the index.
        if kind = 'integer' and said::numeric = trunc(said::numeric) and abs(said::numeric) < 9223372036854775807 then
            return format('%L::pg_catalog.int8', trunc(said::numeric));
        elsif kind = 'integer' then
            return format('%L::pg_catalog.numeric', said::numeric);
        end if;
    end if;
    return format('%L::%s', said, definition->>'type');
end $$;

create function {search}._condition(filter jsonb, columns jsonb, depth integer default 0) returns text
language plpgsql immutable parallel safe as $$
declare
    keys text[];
    op text := filter->>'op';
    field text := filter->>'field';
    value jsonb := filter->'value';
    definition jsonb;
    expr text;
begin
    if depth > 32 then
        raise exception 'filter: more than 32 levels' using errcode = 'data_exception';
    end if;
    if jsonb_typeof(filter) is distinct from 'object' then
        raise exception 'filter: % is no condition; expected {{"field": …, "op": …, "value": …}}, or and, or, not',
            coalesce(left(filter::text, 60), 'null') using errcode = 'data_exception';
    end if;
    keys := array(select jsonb_object_keys(filter) order by 1);
    if keys = '{{not}}' then
        return '(not ' || {search}._condition(filter->'not', columns, depth + 1) || ')';
    end if;
    if keys in ('{{and}}', '{{or}}') then
        if jsonb_typeof(filter->keys[1]) is distinct from 'array' then
            raise exception 'filter: % has %; expected a list', keys[1], left((filter->keys[1])::text, 60)
                using errcode = 'data_exception';
        end if;
        return coalesce(
            (select '(' || string_agg({search}._condition(part, columns, depth + 1), ' ' || keys[1] || ' ' order by place) || ')'
             from jsonb_array_elements(filter->keys[1]) with ordinality as parts (part, place)),
            (keys[1] = 'and')::text
        );
    end if;
    if keys <> '{{field,op,value}}' then
        raise exception 'filter: %; expected the keys field, op and value, or one of and, or, not', left(filter::text, 60)
            using errcode = 'data_exception';
    end if;
    definition := columns->field;
    if definition is null then
        raise exception 'filter: % is not a field; expected one of %', to_json(field),
            (select string_agg(name, ', ' order by name) from jsonb_object_keys(columns) as names (name))
            using errcode = 'data_exception';
    end if;
    expr := definition->>'expr';
    if op = 'is' then
        if jsonb_typeof(value) <> 'null' then
            raise exception 'filter: % is %; expected null', to_json(field), left(value::text, 60)
                using errcode = 'data_exception';
        end if;
        return '(' || expr || ' is null)';
    end if;
    if op = 'in' then
        if jsonb_typeof(value) <> 'array' then
            raise exception 'filter: % in %; expected a list', to_json(field), left(value::text, 60)
                using errcode = 'data_exception';
        elsif jsonb_array_length(value) > 10000 then
            raise exception 'filter: % in a list of % values; expected 10000 at most', to_json(field),
                jsonb_array_length(value) using errcode = 'data_exception';
        elsif jsonb_array_length(value) = 0 then
            return 'false';
        end if;
        return '(' || expr || ' in (' || (
            select string_agg({search}._condition_value(field, one, definition), ', ')
            from jsonb_array_elements(value) as ones (one)
        ) || '))';
    end if;
    if op is null or op not in ('=', '!=', '<', '<=', '>', '>=') then
        raise exception 'filter: % is no operator; expected one of = != < <= > >= in is', coalesce(to_json(op)::text, 'null')
            using errcode = 'data_exception';
    end if;
    return '(' || expr || ' ' || op || ' ' || {search}._condition_value(field, value, definition) || ')';
end $$;

-- What the planner expects of a query: its rows, and its cost in the planner's units. EXPLAIN is no read-only statement
-- to Postgres, so this stands apart from the searching functions, which are stable. It runs with its caller's rights.
create function {search}._estimate(query text, out rows_expected double precision, out cost double precision)
language plpgsql volatile as $$
declare plan json;
begin
    execute 'explain (format json) ' || query into plan;
    rows_expected := (plan->0->'Plan'->>'Plan Rows')::double precision;
    cost := (plan->0->'Plan'->>'Total Cost')::double precision;
end $$;
