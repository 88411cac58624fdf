-- Filters over columns that are lists (has), over types whose operators stand in a schema of their own (citext), and over
-- numbers of four bytes with a value that these cannot hold. Both functions are as in 015 otherwise.
-- In a column's definition, "list" says that "type" and "kind" are of the elements, and "operators" is a schema.

-- The value as SQL of the column's own type. No search_path is set, which would cost more than the rest: who calls these
-- with rights of its own has pinned one, and others call with theirs.
create or replace function {search}._condition_value(field text, value jsonb, definition jsonb) returns text
language plpgsql immutable parallel safe as $$
declare
    kind text := definition->>'kind';
    said text := value #>> '{{}}';
    size numeric;
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
        elsif kind = 'float' then
            size := abs(said::numeric);
            if size > 1.7976931348623157e308 or size > 0 and size < 5e-324 then
                raise exception 'filter: % is compared with %, which no number of 8 bytes is; expected one of size 5e-324 to 1.7e308',
                    to_json(field), left(said, 20) || case when length(said) > 20 then '…' else '' end
                    using errcode = 'data_exception';
            elsif definition->>'type' = 'pg_catalog.float4' and (size > 3.4028235e38 or size > 0 and size < 1.5e-45) then
                return format('%L::pg_catalog.float8', said);
            end if;
        end if;
    end if;
    return format('%L::%s', said, definition->>'type');
end $$;

create or replace function {search}._condition(filter jsonb, columns jsonb, depth integer default 0) returns text
language plpgsql immutable parallel safe as $$
declare
    keys text[];
    op text := filter->>'op';
    field text := filter->>'field';
    value jsonb := filter->'value';
    definition jsonb;
    expr text;
    listed boolean;
    operators text;
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
    listed := definition ? 'list';
    operators := definition->>'operators';
    if op = 'is' then
        if jsonb_typeof(value) <> 'null' then
            raise exception 'filter: % is %; expected null', to_json(field), left(value::text, 60)
                using errcode = 'data_exception';
        end if;
        return '(' || expr || ' is null)';
    end if;
    if listed and op <> 'has' then
        raise exception 'filter: % is a list of values; expected has, which asks for one of them, or is null', to_json(field)
            using errcode = 'data_exception';
    elsif op = 'has' and not listed then
        raise exception 'filter: % has one value; expected = or in, for has asks a list', to_json(field)
            using errcode = 'data_exception';
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
        expr := expr || coalesce(' operator(' || operators || '.=) any (array[', ' in (') || (
            select string_agg({search}._condition_value(field, one, definition), ', ')
            from jsonb_array_elements(value) as ones (one)
        );
        return '(' || expr || case when operators is null then '))' else ']))' end;
    end if;
    if op is null or op not in ('=', '!=', '<', '<=', '>', '>=', 'has') then
        raise exception 'filter: % is no operator; expected one of = != < <= > >= in is has', coalesce(to_json(op)::text, 'null')
            using errcode = 'data_exception';
    end if;
    if op = 'has' then
        return '(' || {search}._condition_value(field, value, definition)
            || coalesce(' operator(' || operators || '.=)', ' =') || ' any (' || expr || '))';
    end if;
    op := case op when '!=' then '<>' else op end;
    return '(' || expr || ' ' || coalesce('operator(' || operators || '.' || op || ')', op) || ' '
        || {search}._condition_value(field, value, definition) || ')';
end $$;
