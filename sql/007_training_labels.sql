-- A labelled text is a pair without a query.

alter table {ops}.training_pairs add column label text not null default '';
