-- The last questions of a collection, for shadow reads. Nothing is kept unless evaluation.shadow declares it: the switch
-- is a row that only the writer may make, and a searching role can add to its own ring, not read it.

create table {ops}.query_logs (
    collection text primary key,
    keep       integer not null check (keep > 0)
);

create table {ops}.queries (
    id         bigint generated always as identity primary key,
    collection text not null references {ops}.query_logs (collection) on delete cascade,
    question   text not null,          -- its first 1,000 characters; nothing of who asked
    asked_at   timestamptz not null default now()
);

create index queries_by_collection on {ops}.queries (collection, id);

-- The underscore keeps the name apart from those of collections, whose search functions stand in the same schema.
create function {search}._record_query(collection text, question text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare kept integer;
begin
    select l.keep into kept from {ops}.query_logs l where l.collection = $1;
    if kept is null or $2 !~ '\S' then
        return;
    end if;
    perform set_config('synchronous_commit', 'off', true);  -- nobody waits for the disk because of a note
    insert into {ops}.queries (collection, question) values ($1, left($2, 1000));
    if random() < 0.0625 then  -- trimmed now and then: the ring is as long as declared, give or take some dozens
        delete from {ops}.queries q where q.collection = $1 and q.id <= (
            select o.id from {ops}.queries o where o.collection = $1 order by o.id desc offset kept limit 1
        );
    end if;
end $$;

revoke all on function {search}._record_query(text, text) from public;
