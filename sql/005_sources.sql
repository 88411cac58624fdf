-- What is remembered of sources between two readings.

-- The files of a source as they were last read; raw.<collection>.source_part is their number.
create table {ops}.source_parts (
    collection text not null,
    part       text not null,
    number     bigint generated always as identity,
    version    text not null,           -- etag, or time of writing and size
    partition  text not null,           -- the Dagster partition it belongs to, '' for none
    scope      text not null,           -- digest of what is read of it, and how
    rows       bigint not null,
    read_at    timestamptz not null default now(),
    primary key (collection, part)
);

-- How far the cursor of a source was read.
create table {ops}.source_cursors (
    collection text primary key,
    scope      text not null,
    position   text,
    read_at    timestamptz not null default now()
);

-- The last message applied to each row; it stays after a delete, so that an older message does not bring the row back.
create table {ops}.queue_keys (
    collection text not null,
    row_key    text not null,
    sequence   numeric not null,
    applied_at timestamptz not null default now(),
    primary key (collection, row_key)
);
