-- For each generation, the last moment at which it was known to hold every row as it was: how long rows can have waited.

create table {ops}.syncs (
    collection text not null,
    generation integer not null,
    true_at    timestamptz not null,
    primary key (collection, generation)
);
