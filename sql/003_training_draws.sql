-- The same pairs may be drawn for several spaces: what was drawn is apart from who drew it.

create table {ops}.training_draws (
    collection   text not null,
    space        text not null,
    declaration  text not null,        -- digest of the declaration that drew it
    training_set text not null references {ops}.training_sets (digest) on delete cascade,
    drawn_at     timestamptz not null default now(),
    primary key (collection, space, declaration)
);

insert into {ops}.training_draws (collection, space, declaration, training_set, drawn_at)
select distinct on (collection, space, declaration) collection, space, declaration, digest, created_at
from {ops}.training_sets
order by collection, space, declaration, created_at desc;

alter table {ops}.training_sets drop column collection, drop column space, drop column declaration;
