"""What docs/declaration.md says in words, before the tables of keys."""

from __future__ import annotations

#: Loaded by a test, so it stays true.
EXAMPLE = """\
type: vector_assets.CollectionComponent
attributes:
  name: papers
  description: Abstracts of papers, with their topics.
  source: {kind: file, path: corpus.jsonl.gz, id: _id}
  fields: {title: text, text: text, published: datetime, citations: number, topic: category}
  filters: [topic, published]
  spaces:
    text:
      fields: [title, text]
      encoder: minilm
      train:
        pairs: train_pairs.jsonl
        split: {validation: 0.1, test: 0.1}
        trainable: last_2
  lexical: [title, text]
  index: {recall: 0.98}
  evaluation: {queries: queries.jsonl.gz, qrels: qrels_test.tsv.gz, metric: ndcg@10}
  automation: {on_change: true, retrain: "0 3 * * 0"}
"""

INTRODUCTION = """\
# Declaring a collection

<!-- Written from the models: change those, then run python -m vector_assets.spec.reference -->

A collection is one file, `defs/<collection>/defs.yaml`. `source`, `fields` and one space make a working one:

```yaml
{example}```

- Paths are relative to the file that names them. URLs are read through fsspec, and `.gz` is unpacked.
- `"{{{{ env.NAME }}}}"` is replaced by a variable of the environment before anything is checked; the quotes are needed.
  `"{{{{ env.NAME or 10 }}}}"` gives a default. A variable that is not set and has no default is an error.
- Unknown keys, keys that stand twice and wrong types are refused with file, line and what was expected:
  `vector-assets check` shows all of them.

## Rows of files

| declared | JSONL and Parquet | CSV and TSV |
| --- | --- | --- |
| `text` | text | the cell |
| `category` | text, a whole number or a boolean | the cell |
| `number` | a finite number | a decimal number such as `-1.5e3` |
| `datetime` | ISO 8601 text, or a Parquet date or timestamp | ISO 8601 |
| `image` | a path or URL; in Parquet also bytes, or `{{bytes, path}}` | a path or URL |

Times without a zone are UTC. Null, and an empty cell, is a missing value. The id is text, or `bigint` where Parquet
holds integers; whole numbers in JSONL become text. CSV and TSV have a header, and cells may be quoted with `"`.

A line that cannot be read and a value of a wrong type are one failure each, and the rest goes on. A row without id, an
id that stands twice, a column that no row has, and files without one readable row end the reading; nothing is kept.

Only files that changed are opened again: etag, or time of writing, and size tell. Rows leave with their line and with
their file; an id may move to another file. A row whose value cannot be read keeps its last good state and is named
among the failures; a file with a line that nobody can name (broken JSON, not UTF-8) loses no rows until it reads well.
A glob that suddenly matches nothing, or a file without a row where there were some, is refused; where that is meant,
declare `allow_empty: true`.

Files partitioned by time:

```yaml
  source:
    kind: file
    path: "s3://bucket/events/day={{date:%Y-%m-%d}}/*.parquet"
    partition: day
    since: 2026-01-01
```

`raw` then has one Dagster partition an hour, day or month. A backfill of seven days is one run that reads the files of
those days, changed or not, and nothing else. A run without partitions reads what changed. All other assets stay whole.

## Rows of another database

```yaml
  source:
    kind: sql
    url: "{{{{ env.WAREHOUSE_URL }}}}"
    query: select * from sales.orders
    id: order_id
    cursor: updated_at
```

Any URL that SQLAlchemy has a driver for: `postgresql://` and `sqlite:///` are there, `duckdb:///` with the extra
`duckdb`. A URL that is written out is refused; the variable is read when rows are read. Rows are streamed,
`batch` at a time. `vector-assets new orders --from env:WAREHOUSE_URL#sales.orders` writes the declaration.

- With `cursor`, only rows at or above the highest cursor seen are read (and those whose cursor is null): rows with an
  equal cursor are not lost. Nothing is written where nothing differs.
- `deletes: sweep` reads all ids each time. Rows that left leave here, and rows that were committed late, below the
  cursor, are found. An *update* that is committed late is only found within `lookback` (seconds, or units of a number):
  set it to the longest transaction of the application.
- Without `cursor` all rows are read each time. Nothing short of that tells whether they changed, so with
  `automation: {{on_change: true}}` they are read every `every` seconds: set that to what the database can bear.
- A wrong value is one failure, and the row keeps its last good state. A null id, an id that stands twice, and no row
  where there were some, end the reading; nothing is kept.

## Rows of a queue

```yaml
  source:
    kind: queue
    url: "{{{{ env.QUEUE_URL }}}}"
    queue: orders
    sequence: version
```

A message is `{{"op": "upsert", "id": "7", "version": 3, "title": "…"}}` with the whole row (a field left out is null),
or `{{"op": "delete", "id": "7", "version": 4}}`. Messages are applied in one transaction a batch and acknowledged after
its commit: whatever dies, none is lost, and one that comes again changes nothing. With `sequence`, an older message
never overwrites a newer one, in whatever order they come. A malformed one is acknowledged and named among the failures.

- `redis://…`, `amqp://…` and what else kombu speaks (extra `queue`); publish with kombu. Redis hands out again what was
  not acknowledged after `redelivery` seconds. Without `sequence` the last one delivered wins.
- `postgresql://…`, or no `url` for our own database: a table, taken with `for update skip locked`. Without `sequence`
  its `position` orders.

```sql
create table orders (position bigint generated always as identity primary key, message jsonb not null);
```

## Rows of Python code

The key is `distribution:module:qualname`. The fields are
{python_fields}.

`summary` is the first sentence of the docstring. `body` is the code without signature and docstring; of a class, its
attributes and the signatures of its methods. Files are parsed, never imported. Edits inside site-packages are seen
when the distribution is installed anew.

## Images

```yaml
  fields: {{photo: image, title: text}}
  spaces:
    photo: {{kind: image, fields: [photo], encoder: ./vision}}
    text: {{fields: [title]}}
```

In files a path is relative to the file that names it; URLs go through fsspec. The bytes are copied to `raw` as they are
(`bytea`), and their sha256 is part of what says that a row changed. In a table in place and in a query an image is a
`bytea` or blob column; a path there is refused. A missing image, or one of more than 20 MB, is a failure of its row. A
broken one is stored and fails when it is encoded, by itself; it is taken again when it, or the encoder, changes.

Whether images beside a file changed is told by their size and time of writing, or etag: at each look the file is read
for their names and their folders are listed. When one changed, its file is read again with all its images, and only
rows whose bytes differ are encoded.

PNG, JPEG, WebP, GIF, BMP, TIFF, PPM and AVIF are read, up to 64 million pixels: the first frame, turned as EXIF says,
transparency onto white, 16 bits scaled to 8, greyscale and CMYK as RGB. `encoder` is a folder of a vision model of
transformers (ViT, DeiT, DINOv2, CLIP, SigLIP, ResNet, ConvNeXt) with safetensors weights and preprocessor_config.json.
Size, crop, interpolation, mean, deviation, scale and order of channels are in the checkpoint's `contract.json`, and so
in its digest; a preprocessor_config.json that says something else is refused, with both sides named.

`vector-assets search C --image FILE`, or `search(image=…)` in Python, asks with an image. A question in words reaches
the spaces of texts, an image those of images, both reach all; what no space reads is refused. A row is one vector of
all its spaces: asked with one kind of two, rows that have only that kind come before others that answer as well. In the
view over the rows, and in hits, an image is shown as the sha256 of its bytes.

## Chunks

`chunk: {{by: sentence}}` and the like give a long text several vectors; [chunking.md](chunking.md) compares the kinds.
Lengths are in characters, but by tokens: they depend on no encoder, so another checkpoint cuts in the same places. A
chunk never reaches from one field into the next, and by sentence, window and paragraph not over a blank line: an edit
encodes the chunks of its own paragraph, and what only moved is taken over. No chunk is longer than `size`; a longer
word is cut. What an encoder cuts off by its own limit of tokens is counted as truncated.

A search returns rows, each once, by its best chunk or the mean of its best ones (`roll_up`), with the best passage.
Training reads whole rows. Evaluation and the gate rank rows in the same way; the recall of an index is measured over
vectors, that is over chunks.

## Labels

Under `train`, exactly one of these. `objective: contrastive` learns from the first five, the others from `labels`.

| key | what it is | what a pair weighs | hard negatives |
| --- | --- | --- | --- |
| `pairs: {{query: FIELD}}` | a field asks, its row answers | 1 | none |
| `pairs: FILE` | JSONL of query, document, perhaps id | 1 | none |
| `triplets: FILE` | JSONL of query, positive, negative, perhaps id | 1 | those of its lines |
| `relevance: {{queries, qrels}}` | rows judged by grade | 2^grade - 1 | rows judged 0 |
| `clicks: {{file}}` or `{{table}}` | what was shown where | its clicks / propensity, a time shown | rows skipped |
| `labels: FIELD`, `{{file}}` or `{{table}}` | what a row is | 1 | |

Weights are divided by their mean in train; the contrastive loss is a mean by weight. A negative that answers the same
query elsewhere is dropped. Rows that are gone are counted (`unknown_row`), and labels, judgements and clicks that name
no row at all are refused, as is any line that cannot be read, with its number. A row that is given two labels is left
out and counted (`ambiguous`). A table is one of our own database; with
`url: "{{{{ env.LOG_URL }}}}"` it is one of any database that SQLAlchemy reaches, and `query` is a select in its place.

What answers a line of a file of pairs or triplets is the row that its `id` names, else the first row whose text, as the
space reads it and whatever its white space, is the document. A line without a row is learned from and counted
(`unknown_row`); held out, it asks nothing at the [gate](gate.md).

What `evaluation:` asks, and what the retrieval tasks of `scores:` ask, is held out of every training. A pair of train
or validation whose query is such a question, or resembles one as `duplicates` says, is left out and counted
(`evaluated`). So is a text that is learned by itself: with a label, alone, or by `pretrain`. Rows that answer stay:
they are what is searched. A training set that is kept loses what it shares with questions that are declared later, at
the next run; no row is drawn anew for that, and where they share nothing, nothing is trained. Questions of
`calibration` may be learned.

Rows high in a list are clicked because they are high. How likely each position is looked at (its propensity) is
estimated from rows that the log shows for one query at several positions: where their clicks fell does not depend on
how good they are (position-based model; Agarwal et al. 2019). Positions that cannot be compared so are left out, and a
log without any such row is refused, unless `propensities` are given. The `training_set` asset shows the table.

`split: {{by_time: published, validation: 0.1, test: 0.1}}` makes the newest 10 % test and the 10 % before them
validation. Triplets without a group, judged and clicked pairs are split by query: none is both learned and asked.
`documents: apart` keeps answers apart as well, and takes what resembles them out of train's hard negatives; where many
queries share few rows that leaves little to learn from, and `documents: shared` is meant for it.

Images are compared by what they look like (pHash; Zauner 2010): one photo saved twice is not both learned and asked.
Of 1,187 photographs (daisies and tulips of TF-Flowers) all stayed within 6 bits of themselves when saved as JPEG of
quality 30, halved, doubled, or pressed into a square. So did 99.9 % as WebP of quality 50, 99.6 % as JPEG of quality
10, 99.0 % with a fifth more light, 57 % with 2.5 % cut off each side, and no mirrored one. Of their 703,891 pairs 7
differ in 10 bits or less, and each is one scene; the first pair of two scenes differs in 12. Drawings are nearer each
other: of 244,650 pairs of Omniglot's characters 1 is within 6 bits, 5 are within 8. Where much is lost, declare fewer
`image_bits`.

## Searches

```yaml
      train:
        pairs: train_pairs.jsonl
        search: {{trials: 12, learning_rate: [1.0e-5, 2.0e-4], batch_size: [32, 64], trainable: [last_1, last_2, lora]}}
```

Trial 0 has the declared settings. The others are drawn by Optuna's TPE from `seed`: the same seed, the same trials. A
trial that falls behind ends early, one that fails is recorded as failed, and the best by validation is the checkpoint.
Test is scored after that choice, once, for the untrained base, for the declared settings and for the best. The search
is one MLflow run with the trials below it. One that was killed goes on: trials that ended are not run again.

`search: {{layer: [2, 3, 4, 5, 6]}}` with no `trainable` compares layers as they are, and nothing learns. A layer that
is not the last is stored as a model that ends there, so every library reads the same vectors, and it costs less to
compute. `layer: mix` is stored with a module of sentence-transformers (WeightedLayerPooling): that library reads the
same vectors, transformers alone does not.
"""
