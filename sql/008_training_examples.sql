-- A pair may know documents that do not answer it, and count for more or less than others.

alter table {ops}.training_pairs add column negatives text[] not null default '{{}}';
alter table {ops}.training_pairs add column weight double precision not null default 1;
