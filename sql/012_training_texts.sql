-- Pairs have mined negatives; texts outside of all pairs are learned from before them.

alter table {ops}.training_pairs
    add column if not exists negatives text[] not null default array[]::text[],
    drop constraint training_pairs_split_check,
    add constraint training_pairs_split_check check (split in ('train', 'validation', 'test', 'unlabelled'));
