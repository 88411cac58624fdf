-- Learning curves: what each part of a training set came to. There is no checkpoint, only numbers.

create table {ops}.learning_curves (
    curve_key    text primary key,
    collection   text not null,
    space        text not null,
    training_set text not null,
    run_id       text not null,        -- the parent run in MLflow
    experiment   text not null,
    result       jsonb not null,       -- points, metric
    created_at   timestamptz not null default now()
);
