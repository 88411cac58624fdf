-- The book-keeping of every collection. Braces name our schemas; they are filled in as quoted identifiers.

create table {ops}.collections (
    name               text primary key,
    source_fingerprint text,           -- what the source looked like when it was last read
    source_version     text,           -- digest of the rows' contents
    rows               bigint,
    live_generation    integer,        -- the only place that says what is live
    updated_at         timestamptz not null default now()
);

create table {ops}.checkpoints (
    digest        text primary key,
    folder        text not null,       -- where the files are
    contract      jsonb not null,      -- what its vectors mean
    training_key  text,                -- null for a base that was never trained here
    mlflow_run_id text,
    mlflow_model  text,                -- registered name
    mlflow_version text,
    mlflow_experiment text,
    created_at    timestamptz not null default now()
);

create table {ops}.canaries (
    checkpoint text not null references {ops}.checkpoints (digest) on delete cascade,
    item       integer not null,
    role       text not null check (role in ('query', 'document')),
    input      text not null,
    vector     real[] not null,
    primary key (checkpoint, item)
);

create table {ops}.training_sets (
    digest      text primary key,
    collection  text not null,
    space       text not null,
    declaration text not null,         -- digest of the declaration that drew it
    report      jsonb not null,
    created_at  timestamptz not null default now()
);

create table {ops}.training_pairs (
    training_set text not null references {ops}.training_sets (digest) on delete cascade,
    item         integer not null,
    query        text not null,
    document     text not null,
    pair_group   text not null,
    split        text not null check (split in ('train', 'validation', 'test')),
    row_key      text not null,
    primary key (training_set, item)
);

create table {ops}.trainings (
    training_key text primary key,
    collection   text not null,
    space        text not null,
    training_set text not null,
    base         text not null references {ops}.checkpoints (digest),
    checkpoint   text not null references {ops}.checkpoints (digest),
    result       jsonb not null,       -- scores of base and tuned, their comparison, seconds
    created_at   timestamptz not null default now()
);

create table {ops}.encoders (
    collection   text not null,
    space        text not null,
    checkpoint   text not null references {ops}.checkpoints (digest),
    training_key text,
    training_set text,
    updated_at   timestamptz not null default now(),
    primary key (collection, space)
);

create table {ops}.generations (
    collection     text not null,
    generation     integer not null,
    state          text not null check (state in ('building', 'candidate', 'live', 'retired', 'failed')),
    checkpoint_set text not null,      -- digest over spaces, their fields and checkpoints: what a vector means
    layout         jsonb not null,     -- parts of the vector: space, offset, dims, checkpoint, fields
    dims           integer not null check (dims > 0),
    vector_type    text not null check (vector_type in ('vector', 'halfvec')),
    filters        jsonb not null,
    metric         text not null,
    ef_search      integer,
    measures       jsonb not null default '{{}}',  -- index size and seconds, recall, integrity, evaluation
    decision       text check (decision in ('promote', 'keep', 'needs_evaluation')),
    decided        jsonb,              -- reason, comparison
    run_id         text,
    created_at     timestamptz not null default now(),
    live_at        timestamptz,
    retired_at     timestamptz,
    dropped_at     timestamptz,        -- its tables are gone; the record stays, so that a rejected one stays rejected
    primary key (collection, generation)
);

create unique index generations_one_live on {ops}.generations (collection) where state = 'live';

create table {ops}.failures (
    collection text not null,
    stage      text not null,
    row_key    text not null,          -- JSON row key, or file:line for what has no key
    error      text not null,
    content    text not null default '',
    attempts   integer not null default 1,
    run_id     text,
    first_at   timestamptz not null default now(),
    last_at    timestamptz not null default now(),
    primary key (collection, stage, row_key)
);

create table {ops}.outbox (
    id         bigint generated always as identity primary key,
    collection text not null,
    kind       text not null,
    payload    jsonb not null,
    created_at timestamptz not null default now(),
    done_at    timestamptz
);

create index outbox_open on {ops}.outbox (id) where done_at is null;
