-- What a searching role may see: the live generation, what its vectors mean, and the canaries that guard it.

create view {search}.live as
select g.collection, g.generation, g.checkpoint_set, g.layout, g.dims, g.vector_type, g.metric, g.ef_search, g.live_at
from {ops}.collections c
join {ops}.generations g on g.collection = c.name and g.generation = c.live_generation;

create view {search}.checkpoints as
select k.digest, k.folder, k.contract
from {ops}.checkpoints k;

create view {search}.canaries as
select y.checkpoint, y.item, y.role, y.input, y.vector
from {ops}.canaries y;

comment on view {search}.live is 'One row per collection: the generation that search answers from.';
