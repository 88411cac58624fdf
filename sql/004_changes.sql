-- What changed in the tables that rows are read from, and how far each reader of it has come.

create table {ops}.captures (
    capture      integer generated always as identity primary key,
    relid        oid not null unique,
    table_name   text not null,        -- as it was called when the triggers were made
    installed_at timestamptz not null default now()
);

create table {ops}.changes (
    capture    integer not null,
    xid        xid8 not null default pg_current_xact_id(),
    keys       json,                   -- row keys that one statement wrote, each a JSON array; null: any row may differ
    changed_at timestamptz not null default now()
);

create index changes_by_xid on {ops}.changes (capture, xid);

create table {ops}.cursors (
    collection  text not null,
    reader      text not null,         -- raw, or a generation's number
    capture     integer,               -- null where the table was compared as a whole
    fingerprint text not null,         -- of triggers, file and columns of the table: another one means all rows
    seen        pg_snapshot not null,  -- what had been committed when the reader last looked
    watermark   text,
    synced_at   timestamptz not null default now(),
    primary key (collection, reader)
);

-- What a generation holds, counted and digested as it is written: so that nobody has to read it all to know.
create table {ops}.contents (
    collection text not null,
    generation integer not null,
    rows       bigint not null,
    one        bigint not null,        -- two 64-bit hashes of each row, folded by xor
    two        bigint not null,
    primary key (collection, generation)
);
