-- Views and functions over a table in place run as their owner while the table has no policies. When it gets some, they
-- answer nothing until the next run has made them anew, as their caller's: nobody reads what the policies hide meanwhile.

create function {search}._open(source regclass) returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
    if (select c.relrowsecurity from pg_class c where c.oid = source) then
        raise exception 'table % has row-level security since search was last made for it; materialize its collection',
            source using errcode = 'object_not_in_prerequisite_state';
    end if;
    return true;
end $$;
