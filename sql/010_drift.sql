-- What rows and questions are compared with, and what the last comparison said.

-- A fixed sample of what a checkpoint was trained on, or first used on.
create table {ops}.drift_samples (
    collection text not null,
    space      text not null,
    checkpoint text not null,
    kind       text not null check (kind in ('corpus', 'queries')),
    origin     text not null,           -- where it is from, in words
    version    text not null,           -- of what it was drawn from; another one is drawn anew
    generation integer not null,        -- in which rows that came or changed after since are new
    since      timestamptz not null,
    keys       jsonb not null,          -- JSON row keys that the sample was drawn from; empty for texts without a row
    dims       integer not null,
    vectors    bytea not null,          -- float32, little-endian, row after row
    taken_at   timestamptz not null default now(),
    primary key (collection, space, checkpoint, kind)
);

create table {ops}.drift (
    collection  text not null,
    kind        text not null check (kind in ('corpus', 'queries')),
    space       text not null,
    generation  integer not null,
    checkpoint  text not null,
    measured_at timestamptz not null default now(),
    enough      boolean not null,       -- there were vectors enough to say anything
    auc         double precision not null,
    low         double precision,
    high        double precision,
    p           double precision,
    reference   integer not null,       -- vectors of either side
    current     integer not null,
    origin      text not null,
    compared    text not null,          -- what stood on the other side, in words
    seconds     double precision not null,
    picture     text,                   -- path of a PNG
    primary key (collection, kind, space)
);
