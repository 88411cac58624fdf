-- What a searching role may know of scores: from which one on a stated share of answers is right.

create view {search}.calibrations as
select
    g.collection, g.generation, m.key as method,
    (m.value -> 'kept' ->> 'stated')::double precision as answer_precision,    -- as declared
    (m.value -> 'kept' ->> 'threshold')::double precision as threshold,        -- null where no score shows it
    m.value -> 'calibrated' as calibration
from {ops}.collections c
join {ops}.generations g on g.collection = c.name and g.generation = c.live_generation
cross join lateral jsonb_each(coalesce(g.measures -> 'calibration', '{{}}')) m;

comment on view {search}.calibrations is 'One row per method of a live generation: hits from threshold on are right as often as answer_precision says.';
