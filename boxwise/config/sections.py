"""The sections of a study's configuration: the names, ranges and meaning of the knobs.

Knows nothing of what they drive: whether a detector or scorer of that name exists is `registry/`'s to say.
"""

from __future__ import annotations

from decimal import Decimal
from numbers import Real
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from boxwise.config.section import Choice, Section

_AN_AMOUNT = "expected a count such as 50 or a share such as '5%'"
_TOO_MANY = 2**63  # a float from here on is no count that anybody has made


def _check_amount(value: Any) -> Any:
    """ValueError, once for both kinds, for what is neither a whole number nor a string; what a string says is `resolve`'s to read."""
    if isinstance(value, int | str):
        return value
    if isinstance(value, Real | Decimal):  # also NumPy's
        try:
            whole = int(value)  # type: ignore[arg-type]
        except (ValueError, OverflowError):  # nan, inf
            raise ValueError(_AN_AMOUNT) from None
        if whole == value and abs(whole) < _TOO_MANY:
            return whole
    raise ValueError(_AN_AMOUNT)


Amount = Annotated[int | str, BeforeValidator(_check_amount)]  # see `resolve`


def resolve(amount: int | str, total: int, name: str) -> int:
    """`amount` as a count: an int as it is, '5%' as that share of `total`, at least 1 unless it is 0.

    Raises ValueError naming the key when the string is not a percentage.
    """
    if isinstance(amount, int):
        if amount < 0:
            raise ValueError(f"{name} is {amount}, expected 0 or more")
        return amount
    try:
        share = float(amount.removesuffix("%")) / 100 if amount.endswith("%") else float("nan")
    except ValueError:
        share = float("nan")
    if not 0 <= share <= 1:
        raise ValueError(f"{name} is {amount!r}, {_AN_AMOUNT}")
    return 0 if share == 0 else max(1, round(share * total))


class DetectorConfig(Choice):
    """Which network, at what input size in pixels, and where its first weights come from."""

    name: str = Field("auto", description="which network; auto: yolox_nano at 416 pixels on a CPU, yolox_s at 640 on a GPU")
    imgsz: int | None = Field(None, ge=32, le=2048, description="input side in pixels; null: the network's own")
    pretrained: Literal["auto", "coco", "imagenet", "none"] = Field(
        "auto", description="first weights: of the detector on COCO, of its backbone on ImageNet, or random; auto: the first that there is"
    )
    weights: Path | None = Field(None, description="a detector's file to start from: its COCO release, or another study's weights.pt")
    backbone_weights: Path | None = Field(None, description="a backbone's file instead of torchvision's download: pretrained=imagenet")
    score_threshold: float = Field(0.01, ge=0, lt=1, description="detections below are dropped")
    nms_iou: float = Field(0.5, gt=0, le=1, description="of two boxes of a class that overlap more, the better one is kept")
    max_detections: int = Field(100, ge=1, description="detections kept an image")

    @field_validator("pretrained", mode="before")
    @classmethod
    def _as_before(cls, value: Any) -> Any:
        """true and false are what older configs said for ImageNet and nothing."""
        return {True: "imagenet", False: "none"}[value] if isinstance(value, bool) else value


class TrainConfig(Section):
    """One round's training. What is None or "auto" is the detector family's own recipe (detectors/recipe.py).

    A training makes `epochs` passes over the labelled images, held within [min_steps, max_steps]. With val images that is the most it
    takes: it ends once AP on val has stopped rising (schedule "plateau").
    """

    epochs: int = Field(150, ge=1, description="most passes over the labelled images, where that lies between min_steps and max_steps")
    min_steps: int = Field(240, ge=1, description="most steps where few images are labelled")
    max_steps: int = Field(20_000, ge=1, description="most steps, however many images are labelled")
    length: float = Field(1.0, gt=0, description="times as long as the rule says; 2 shows whether a training has converged")
    batch: int = Field(16, ge=1, description="images a step, over all processes")
    accumulate: int = Field(1, ge=1, description="equal pieces of the batch, trained on one after another to save memory; 1: all at once")
    optimizer: Literal["auto", "sgd", "adamw"] = Field("auto", description="SGD with Nesterov momentum, or AdamW; auto: the family's")
    lr: float | None = Field(None, gt=0, description="learning rate after the warm-up; None: the family's, in proportion to the batch")
    momentum: float = Field(0.9, ge=0, lt=1, description="of sgd")
    weight_decay: float | None = Field(None, ge=0, description="of all weights but biases and normalisation; None: the family's")
    schedule: Literal["auto", "plateau", "cosine", "multistep", "onecycle", "constant"] = Field(
        "auto", description="how the learning rate falls; auto: plateau where val can decide the length, else cosine"
    )
    milestones: tuple[float, ...] = Field((0.7, 0.9), description="multistep: shares of the training at which lr drops by ten")
    patience: float = Field(0.3, gt=0, lt=1, description="plateau: share of the steps so far in which AP on val has to rise")
    warmup_steps: int | None = Field(None, ge=0, description="steps in which the learning rate rises from near 0; None: the family's")
    ema: float | None = Field(None, ge=0, lt=1, description="decay of averaged weights; 0: off; None: the family's")
    clip_norm: float | None = Field(None, ge=0, description="largest gradient norm; 0: off; None: the family's")
    augment: Literal["auto", "scale", "mosaic", "ssd", "flip", "none"] = Field(
        "auto",
        description="scale: size, place, colours, mirroring; mosaic: four images in one as well; ssd: zoom-out, crops, colours, mirroring",
    )
    amp: bool = Field(True, description="bfloat16 autocast on CUDA; never on CPU")
    start: Literal["auto", "initial", "previous"] = Field(
        "auto", description="first weights of a round; auto: previous for partial policies"
    )
    incomplete: Literal["ignore", "leave_out"] = Field(
        "ignore", description="images with unlabelled objects: teach no background outside rejected boxes, or are left out"
    )
    folds: int = Field(
        0, ge=0, le=20, description="cross-validation in place of a val split: each round trains folds + 1 detectors; 0: off"
    )
    val_every: int | None = Field(None, ge=0, description="steps between evaluations on val; 0: only after training; None: as needed")
    ap_range: int = Field(5, ge=2, description="evaluations in the early-stop window")
    ap_shift: float = Field(0.0, ge=0, description="stop when mean |AP - mean AP| over the window is below; 0: off")
    checkpoint_every: int = Field(200, ge=1, description="steps between resumable checkpoints")
    cache_mb: int = Field(1024, ge=0, description="decoded training images kept in memory")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_steps > self.max_steps:
            raise ValueError(f"min_steps {self.min_steps} is above max_steps {self.max_steps}")
        if self.batch % self.accumulate:
            raise ValueError(f"batch {self.batch} cannot be cut into accumulate={self.accumulate} equal pieces")
        if self.folds == 1:
            raise ValueError("folds is 1: expected 0, or at least 2 parts to hold out in turn")
        if self.ap_shift > 0 and not self.val_every:
            raise ValueError("ap_shift needs val_every > 0: the early stop is judged on val")
        return self


class ColdStartConfig(Section):
    """Who is asked for in round 0, before there is a trained detector; the val images of that round are always drawn at random."""

    name: str = Field("random", description="the strategy that chooses the first images; one that needs no trained detector")
    embedding: str = Field(
        "backbone", description="an embedder that needs no trained detector, with its options under `embedding`; vae: as scorer.vae says"
    )


class BudgetConfig(Section):
    """What may be labelled. An int counts images; `per_round` and `total` count what `unit` says. A string such as '5%' is a share of the
    images: in boxes, seconds or money, what so many are expected to cost."""

    unit: Literal["images", "boxes", "seconds", "money"] = Field(
        "images", description="boxes, seconds of a person, or what these cost by cost.per_hour: as the detector expects them"
    )
    initial: Amount = Field(50, description="images labelled in round 0")
    per_round: Amount = Field(50, description="what is labelled in each later round, in `unit`")
    validation: Amount = Field("20%", description="random images labelled for val in round 0 when none are given; % of initial")
    rounds: int = Field(5, ge=0, description="rounds after the initial one")
    total: int | None = Field(
        None, ge=1, description="the study ends once answers took so much, in `unit`, on train and val; null: by rounds alone"
    )
    val_per_round: Amount = Field(0, description="random pool images that join val each later round; % of per_round")

    @model_validator(mode="after")
    def _shares(self) -> Self:
        for name in ("initial", "per_round", "validation", "val_per_round"):
            resolve(getattr(self, name), 100, name)
        if self.total is not None and self.unit == "images" and isinstance(self.initial, int) and self.initial > self.total:
            raise ValueError(f"initial {self.initial} is above total {self.total}")
        return self


class AskConfig(Section):
    """What a person is asked about an image, and which of the model's boxes need no look.

    full: draw everything. review: certain boxes are shown as accepted; answer the uncertain ones, add what is missed. trust: certain boxes
    enter unseen; answer the uncertain ones. boxes: answer the uncertain ones; nothing else enters, the image stays in the pool.
    """

    mode: Literal["full", "review", "trust", "boxes"] = Field("full", description="what a person is asked, as above")
    certain: float = Field(0.8, gt=0, le=1, description="score from which the model labels a box itself")
    uncertain: float = Field(0.3, gt=0, le=1, description="score below which a box is dropped")
    certain_of: dict[str, float] = Field(default_factory=dict, description="class: its own `certain`")
    overlap: float = Field(0.5, gt=0, le=1, description="IoU at which proposals are judged together")
    target_precision: float | None = Field(None, gt=0, lt=1, description="each class gets the `certain` that val shows to reach it")
    confidence: float = Field(0.9, ge=0.5, lt=1, description="target_precision: chance with which a threshold must keep it")
    calibration: Literal["isotonic", "temperature"] = Field(
        "isotonic", description="target_precision: the map from score to P(correct) in the report"
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for name, score in self.certain_of.items():
            if not 0 < score <= 1:
                raise ValueError(f"certain_of.{name} is {score}, expected above 0 and at most 1")
        if self.certain_of and self.target_precision is not None:
            raise ValueError("target_precision finds the threshold of each class on val: give it or certain_of, not both")
        lowest = min([self.certain, *self.certain_of.values()])
        if self.uncertain > lowest:
            raise ValueError(f"uncertain {self.uncertain} is above certain {lowest}")
        return self


class LabellingConfig(Section):
    """Who labels, where several people do, and how models help while somebody draws; the labelling page sees to it."""

    double: float = Field(0.0, ge=0, le=1, description="share of a round's whole images that two people label, each alone")
    assist: Literal["model", "sam2"] = Field("model", description="what a click becomes: the study's own detection there, or SAM 2's mask")
    sam2: str = Field("facebook/sam2.1-hiera-tiny", description="SAM 2's weights: a name at the hub, or a folder of save_pretrained")
    follow: Literal["embedding", "overlap"] = Field("embedding", description="how boxes find their objects on the next image of a burst")


class AnnotatorConfig(Section):
    """The simulated annotator's habits and slips; a real study has none of it."""

    accept_iou: float = Field(0.7, ge=0.5, le=1, description="IoU with the object from which a suggested box is kept as it is")
    jitter: float = Field(0.0, ge=0, lt=1, description="standard deviation of a drawn edge, as a share of the box's side")
    miss: float = Field(0.0, ge=0, le=1, description="chance that an object without a suggestion is overlooked")
    wrong_class: float = Field(0.0, ge=0, le=1, description="chance that an answered box gets another class")
    accept_wrong: float = Field(0.0, ge=0, le=1, description="chance that a wrong suggestion is kept as it is")
    notice: float = Field(0.0, ge=0, le=1, description="review: chance that a wrong box among the accepted ones is noticed")


class CostConfig(Section):
    """Seconds a human act costs; evaluation/cost.py cites where the defaults come from."""

    draw: float = Field(7.0, ge=0, description="drawing a box")
    verify: float = Field(1.6, ge=0, description="saying that a suggested box is right")
    correct: float = Field(7.0, ge=0, description="moving a suggested box, or giving it another class")
    delete: float = Field(1.6, ge=0, description="rejecting a suggested box")
    look: float = Field(2.0, ge=0, description="looking over one image for missed objects")
    per_hour: float = Field(0.0, ge=0, description="what an hour of labelling costs, in any currency; 0: money is not counted")


class StopConfig(Section):
    """When the study ends before its budget: AP shift over the last `ap_range` rounds on val."""

    ap_range: int = Field(4, ge=2, description="rounds that are looked at")
    ap_shift: float = Field(0.0, ge=0, description="the study ends when mean |AP - mean AP| over these rounds is below; 0: off")


class ImagesConfig(Section):
    """How images of remote stores (s3://, gs://, az://, https://) are read; those of this machine need none of it."""

    cache_gb: float = Field(10.0, ge=0.1, description="most that downloaded images take on this machine, in GB; the least used go first")
    cache_folder: Path | None = Field(None, description="where they are kept; null: the folder of this user's caches")
    recheck: float = Field(3600.0, ge=0, description="seconds for which a downloaded image is used without asking whether it has changed")
    parallel: int = Field(16, ge=1, le=256, description="images downloaded side by side, a process")
    attempts: int = Field(5, ge=1, description="how often an image is asked for before that counts as a fault")
    timeout: float = Field(60.0, gt=0, description="seconds after which one attempt is given up")
