"""Spaces of images as people declare them, and the one line that says what is wrong."""

from __future__ import annotations

import pytest

from vector_assets.spec import Collection, ImageSpace, TextSpace
from vector_assets.spec.load import find_problems, load_text

GOOD = """type: vector_assets.CollectionComponent
attributes:
  name: shop
  source: {kind: file, path: a.jsonl}
  fields: {title: text, photo: image, kind: category}
  spaces:
    photo: {kind: image, fields: [photo], encoder: ./model}
    text: {fields: [title]}
"""
KINDS = "expected to be ./folder, hf:owner/name@revision or models:/NAME@alias of a vision model"
TRIPLET = "train: {objective: triplet, labels: kind"
IMAGE_IN_TEXT = "a field of another type, or a space of kind image"


def test_an_encoder_of_images_learns_from_labels() -> None:
    text = GOOD.replace("./model", f"./model, {TRIPLET}, augment: {{tilt: 9, rotations: true}}}}")
    assert not find_problems(text, "d")


def problems(old: str, new: str) -> list[str]:
    text = GOOD.replace(old, new)
    assert text != GOOD
    return [str(problem).removeprefix("d:") for problem in find_problems(text, "d")]


def test_texts_and_images_are_declared_side_by_side(tmp_path: object) -> None:
    collection = load_text(GOOD, "d", tmp_path)  # type: ignore[arg-type]
    assert collection.spaces == {
        "photo": ImageSpace(kind="image", fields=["photo"], encoder="./model"),
        "text": TextSpace(fields=["title"]),
    }
    assert collection.spaces["photo"].train is None
    assert collection.spaces["photo"].chunk.by == "none"
    assert Collection.model_validate(collection.model_dump()).at(collection.folder) == collection


@pytest.mark.parametrize(
    ("old", "new", "where", "said"),
    [
        ("kind: image", "kind: imag", "7: spaces.photo.kind", "did you mean image?; expected one of text, image"),
        ("kind: image, ", "", "7: spaces.photo.fields", "photo is an image; expected " + IMAGE_IN_TEXT),
        (", encoder: ./model", "", "7: spaces.photo.encoder", "is missing; expected text"),
        ("./model", "minilm", "7: spaces.photo.encoder", f"found 'minilm'; {KINDS}"),
        ("./model", "provider:x", "7: spaces.photo.encoder", f"found 'provider:x'; {KINDS}"),
        ("[photo]", "[photo, title]", "7: spaces.photo.fields", "found a list; expected at most 1 item"),
        ("[photo]", "[title]", "7: spaces.photo.fields", "title is of type text; expected one field of type image"),
        ("./model", "./model, pooling: max", "7: spaces.photo.pooling", "one of cls, mean, pooler, projection"),
        ("./model", "./model, chunk: {by: sentence}", "7: spaces.photo.chunk", "an image is not cut into chunks"),
        (
            "./model", "./model, train: {pairs: a}", "7: spaces.photo.train",
            "found contrastive; an encoder of images learns from labels; expected one of triplet, classification",
        ),
        ("./model", f"./model, {TRIPLET}, trainable: lora}}", "7: spaces.photo.train.trainable", "found lora; of an"),
        ("./model", f"./model, {TRIPLET}, learn_tokens: 9}}", "7: spaces.photo.train.learn_tokens", "no tokens"),
        ("./model", f"./model, {TRIPLET}, matryoshka: [8]}}", "7: spaces.photo.train.matryoshka", "is served whole"),
        ("./model", f"./model, {TRIPLET}, curve: {{}}}}", "7: spaces.photo.train.curve", "are not drawn yet"),
        (
            "./model", f"./model, {TRIPLET}, start: scratch, trainable: all}}", "7: spaces.photo.train.start",
            "starts from its own weights",
        ),
        ("./model", f"./model, {TRIPLET}, augment: {{}}}}", "7: spaces.photo.train.augment", "changes nothing"),
        (
            "./model", "./model, train: {objective: triplet, labels: photo}", "7: spaces.photo.train.labels",
            "photo is also read by the space",
        ),
        (
            "[title]}", "[title], train: {objective: triplet, labels: kind, augment: {tilt: 9}}}",
            "8: spaces.text.train.augment", "changes images, and this space reads text",
        ),
        (
            "./model", "./model, train: {objective: triplet, labels: kind, trainable: all, augment: {tilt: 5}, "
            "pretrain: {objective: denoising}}",
            "7: spaces.photo.train.pretrain.objective", "found denoising, which reads texts; expected views",
        ),
        (
            "./model", "./model, train: {objective: triplet, labels: kind, trainable: all, augment: {rotations: true}, "
            "pretrain: {objective: views}}",
            "7: spaces.photo.train.augment", "moves nothing, so that both views of an image would be equal",
        ),
        (
            "./model", "./model, train: {objective: triplet, labels: kind, search: {layer: [1, 2]}}",
            "7: spaces.photo.train.search.layer", "an encoder of images has none to choose; leave it out",
        ),
        (
            "[title]}", "[title], train: {pairs: a, pretrain: {objective: views}}}",
            "8: spaces.text.train.pretrain.objective", "found views, which are of images; expected dropout_pairs",
        ),
        ("./model", "./model, max_tokens: 9", "7: spaces.photo.max_tokens", "an image has no tokens to count; leave"),
        ("[title]}", "[title, photo]}", "8: spaces.text.fields", "photo is an image; expected " + IMAGE_IN_TEXT),
        (
            "[title]}", "[title], train: {pairs: {query: photo}}}", "8: spaces.text.train.pairs.query",
            "photo is an image; expected " + IMAGE_IN_TEXT,
        ),
        ("  spaces:", "  filters: [photo]\n  spaces:", "6: filters", "photo is an image; expected a field of another"),
        (
            "{kind: file, path: a.jsonl}", "{kind: queue, queue: q}", "5: fields.photo",
            "a message carries no image; expected a source of files, sql or postgres",
        ),
        (
            "    text: {fields: [title]}", "  evaluation: {queries: a, qrels: b}", "8: evaluation.queries",
            "are texts, and no space reads text; leave them out",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line(old: str, new: str, where: str, said: str) -> None:
    (problem,) = problems(old, new)
    assert problem.startswith(f"{where}: ")
    assert said in problem
