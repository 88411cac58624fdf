-- Indexes of words: one per collection and analyser (fields, language, stop words), whatever generation is live.

create table {ops}.bm25_indexes (
    collection  text not null,
    analyser    text not null,          -- digest, in the names of its tables
    fields      text[] not null,
    language    text not null,
    stop_words  boolean not null,
    made_at     timestamptz not null default now(),
    complete_at timestamptz,            -- when it first held every row
    primary key (collection, analyser)
);

-- How many rows and words each page added, or took away: sums say what there is. Folded into one row now and then.
create table {ops}.bm25_deltas (
    collection text not null,
    analyser   text not null,
    documents  bigint not null,
    words      bigint not null,
    foreign key (collection, analyser) references {ops}.bm25_indexes (collection, analyser) on delete cascade
);

create index bm25_deltas_by_index on {ops}.bm25_deltas (collection, analyser);
