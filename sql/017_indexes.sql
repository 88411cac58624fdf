-- The kind of index that a generation has, and what it was when it was built: what it has become is held against that.

alter table {ops}.generations
    add column index_type text not null default 'hnsw' check (index_type in ('hnsw', 'ivfflat', 'exact')),
    add column precision text not null default 'float32' check (precision in ('float32', 'half', 'binary'));

update {ops}.generations set precision = 'half' where vector_type = 'halfvec';

comment on column {ops}.generations.ef_search is
    'How widely the index is searched: hnsw.ef_search, ivfflat.probes, or the candidates that a binary one hands on.';

create table {ops}.index_builds (
    collection text not null,
    generation integer not null,
    built_at   timestamptz not null default now(),
    seconds    double precision not null,
    rows       bigint not null,
    bytes      bigint not null,
    changes    bigint not null,        -- rows ever inserted, updated and deleted, as Postgres counted when it was built
    options    jsonb not null,         -- m and ef_construction, or lists
    primary key (collection, generation),
    foreign key (collection, generation) references {ops}.generations on delete cascade
);
