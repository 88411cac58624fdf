-- What follows when a checkpoint does not give its canaries any more.

-- Of the checkpoint that a space uses: that it was seen not to give them. No row where it gives them.
create table {ops}.canary_findings (
    collection text not null,
    space      text not null,
    checkpoint text not null,
    found_at   timestamptz not null default now(),  -- when it was seen last
    said       text not null,                       -- both sides, in words
    primary key (collection, space)
);

-- How often a space's checkpoint was made anew because of that; a declared revision that is higher comes before it.
create table {ops}.revisions (
    collection text not null,
    space      text not null,
    revision   integer not null check (revision > 0),
    because    text not null,
    raised_at  timestamptz not null default now(),
    primary key (collection, space)
);
