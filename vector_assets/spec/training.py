"""Training: what an encoder learns from, and how long."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from vector_assets.spec.augment import Augment
from vector_assets.spec.base import ColumnName, Share, Spec
from vector_assets.spec.curve import Curve, Start
from vector_assets.spec.head import ClassHead
from vector_assets.spec.labels import PAIR_SOURCES, Clicks, FieldPairs, LabelsFile, Relevance, Split
from vector_assets.spec.learning import Negatives, Pretraining
from vector_assets.spec.losses import LOSS_SETTINGS
from vector_assets.spec.search import SEARCHED, Search, Trainable
from vector_assets.spec.training_rules import check_training

#: Texts that a reduction is learned from, where nothing is declared.
REDUCED_FROM = 20_000


class Training(Spec):
    """Fine-tuning until validation stops improving; the best weights are kept, not the last."""

    objective: Literal[
        "contrastive", "triplet", "classification", "arcface", "dropout_pairs", "denoising", "distillation", "pca"
    ] = Field(
        default="contrastive",
        description="contrastive learns from pairs, with the other answers of a batch as wrong ones (InfoNCE). From "
        "labels learn triplet (semi-hard), classification (softmax; its head starts as a logistic "
        "regression on the untrained vectors, so step 0 is the linear probe and what follows is "
        "linear-probe-then-fine-tune), arcface. From the rows' texts alone learn dropout_pairs "
        "and denoising (see pretrain; held-out texts are then asked for by some of their own words), distillation "
        "(the teacher's vectors; held-out texts are asked for the teacher's ten nearest) and pca (the dims: of the "
        "space that principal components of the rows' own vectors choose, against the first ones; held-out texts are "
        "asked for their ten nearest by all dims).",
    )
    pairs: FieldPairs | str | None = Field(
        default=None,
        description="For contrastive: fields of the rows, or a JSONL file of query, document, optional id of "
        "the row that answers, group and time.",
    )
    triplets: str | None = Field(
        default=None,
        description="For contrastive, in place of pairs: a JSONL file of query, positive, negative (a text or a list "
        "of them), optional id, group and time. Lines of one query and positive are one pair with all their negatives.",
    )
    relevance: Relevance | None = Field(default=None, description="For contrastive, in place of pairs: judged rows.")
    clicks: Clicks | None = Field(default=None, description="For contrastive, in place of pairs: a log of clicks.")
    labels: ColumnName | LabelsFile | None = Field(
        default=None,
        description="For the other objectives: the field that says what a row is, or a file. Rows without a label are "
        "left out, and so are rows and texts that have two.",
    )
    negatives: Negatives | None = Field(
        default=None, description="For contrastive: wrong answers that are hard to tell from right ones."
    )
    matryoshka: list[Annotated[int, Field(ge=1)]] | None = Field(
        default=None,
        min_length=1,
        description="Shorter widths, such as [256, 128, 64], whose first dims shall serve alone: the loss is the sum "
        "over the whole vector and these (Kusupati et al. 2022), and test is scored at each. For contrastive, triplet, "
        "dropout_pairs.",
    )
    pretrain: Pretraining | None = Field(
        default=None, description="Self-supervised learning first; then the objective. For those with pairs or labels."
    )
    teacher: str | None = Field(
        default=None,
        min_length=1,
        description="For distillation: the encoder to imitate, named as in encoder:, or collection:NAME/SPACE for the "
        "checkpoint that another space uses.",
    )
    layers: int | None = Field(
        default=None,
        ge=1,
        description="For distillation: the student is the space's encoder cut to this many layers, evenly chosen; all "
        "of them when left out. trainable then counts what is left, and is best all. With start: scratch, how many "
        "layers the new network has.",
    )
    start: Start = Field(
        default="pretrained",
        description="pretrained: from the space's encoder. scratch: from weights drawn anew by seed for the same "
        "architecture and tokenizer; needs trainable: all. What was learned is compared with the space's encoder as "
        "it is, the base of both.",
    )
    split: Split = Split()
    trainable: Trainable = Field(
        default="last_2",
        description="last_<k> layers (stages of a convolutional network), all of the encoder, lora (low-rank additions "
        "to every layer, stored merged), head: the classification alone, on vectors that stay as they are (the linear "
        "probe, learned on); mix: the weights of layer: mix alone; none: nothing, for a search among layers as they "
        "are.",
    )
    lora_rank: int = Field(default=8, ge=1, le=256, description="Width of what lora adds to each matrix.")
    head: ClassHead = Field(
        default=ClassHead(), description="How classification and arcface hold and learn their weights per label."
    )
    margin: float | None = Field(
        default=None,
        gt=0,
        lt=4,
        description="How much farther wrong ones are to be: for triplet a squared distance (0.2 when left out), for "
        "arcface an angle in radians (0.5).",
    )
    scale: float | None = Field(
        default=None,
        gt=0,
        le=1000,
        description="What cosines are multiplied by, the inverse of a temperature: for contrastive (20 when left out) "
        "and arcface (64).",
    )
    learning_rate: float = Field(default=5e-5, gt=0, lt=1, description="The highest step of the optimiser.")
    dropout: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Share that the dropouts of the layers that learn zero at random in each step; 0.1 is what most "
        "transformers were made with. For pairs and labels: it helps where many epochs over few texts are learned.",
    )
    learn_tokens: int | None = Field(
        default=None, ge=8, description="Longer texts are cut here while learning, for speed; what is served is not."
    )
    batch_size: int = Field(default=64, ge=2, le=4096, description="Pairs a step; the other answers are the negatives.")
    evaluations_per_epoch: int = Field(default=2, ge=1, le=100)
    patience: int = Field(default=2, ge=1, description="Evaluations without improvement before it stops.")
    max_epochs: int = Field(default=10, ge=1, le=1000)
    max_pairs: int | None = Field(
        default=None,
        ge=2,
        description="Learn from at most this many pairs or labelled texts, drawn by seed. Of pca 20,000 texts when "
        "left out, which span its dims many times over.",
    )
    max_validation: int = Field(default=500, ge=2, description="At most this many of them in validation, scored often.")
    max_test: int = Field(default=1500, ge=2, description="At most this many of them in test, scored once.")
    max_gap: Share = Field(
        default=0.2,
        description="Warn of too little data when training adds more than this to how much better what was learned "
        "scores than validation (accuracy: when it is this much better).",
    )
    augment: Augment | None = Field(
        default=None, description="For images: random changes while learning; images are learned from as is without it."
    )
    search: Search | None = Field(
        default=None,
        description="Try other settings as well; the best by validation is kept, and scored once on test.",
    )
    curve: Curve | None = Field(
        default=None, description="Measure how results grow with rows, in an asset beside the encoder's."
    )
    seed: int = Field(default=0, ge=0, description="Draws the split and the order; the same seed, the same run.")

    @model_validator(mode="before")
    @classmethod
    def _layers_alone_need_no_learning(cls, declared: object) -> object:
        """A search among layers and nothing else tries them as they are, unless something is declared to learn."""
        if not isinstance(declared, dict) or {"trainable", "pretrain"} & set(declared) or not declared.get("search"):
            return declared
        search = declared["search"]
        given = search.model_dump(exclude_none=True) if isinstance(search, Search) else search
        named = set(given) if isinstance(given, dict) else set()
        if "layer" in named and not named & set(SEARCHED) - {"layer"}:
            return {**declared, "trainable": "none"}
        return declared

    @model_validator(mode="before")
    @classmethod
    def _reduction_is_computed(cls, declared: object) -> object:
        """Principal components leave all layers as they are, and need no more texts than span the dims."""
        if isinstance(declared, dict) and declared.get("objective") == "pca":
            return {"trainable": "none", "max_pairs": REDUCED_FROM, **declared}
        return declared

    @model_validator(mode="after")
    def _fits_together(self) -> Training:
        check_training(self)
        return self

    @property
    def trainables(self) -> tuple[str, ...]:
        """What learns as declared, and in the trials of a search."""
        return (self.trainable, *((self.search.trainable if self.search else None) or ()))

    def loss_setting(self, name: str) -> float:
        """Return margin or scale as declared, else the objective's own; KeyError for one that has none."""
        declared: float | None = getattr(self, name)
        return LOSS_SETTINGS[name][self.objective] if declared is None else declared

    @property
    def denoises(self) -> bool:
        """Denoising is the objective, or comes before it."""
        return "denoising" in (self.objective, self.pretrain and self.pretrain.objective)

    @property
    def pair_sources(self) -> tuple[str, ...]:
        """Which of pairs, triplets, relevance and clicks are given; a valid declaration has at most one."""
        return tuple(name for name in PAIR_SOURCES if getattr(self, name) is not None)

    @property
    def from_file(self) -> bool:
        """Groups and times are those of a file or log, not fields of the rows."""
        return isinstance(self.pairs, str) or self.triplets is not None or self.clicks is not None
