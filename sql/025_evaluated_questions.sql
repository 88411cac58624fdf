-- Which questions that a collection is judged by were left out of a kept training set: others are left out when they come.

alter table {ops}.training_draws add column questions text not null default '';
