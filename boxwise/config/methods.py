"""The sections that name a method, scorer, embedder, strategy and policy, with the options of each of boxwise's own methods.

Returns validated values. Knows what an option means and what it makes a method need, not what the methods do: see registry/.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from boxwise.config.section import Choice, Options, Section

Aggregate = Literal["max", "mean", "sum"]
Surrogate = Literal["expected", "pseudo", "learned", "oracle_loss"]
_NEEDS_OF_A_LOSS = {"expected": "expected_loss", "oracle_loss": "ground_truth"}  # what a surrogate of the detection loss needs
_NEEDS_OF_A_PART = {"expected": ("expected_loss",), "learned": (), "uncertain": ("expected_loss", "supports")}


class VaeConfig(Section):
    """The variational autoencoder behind L_rec."""

    size: Literal[32, 64, 128] = Field(64, description="side in pixels of the thumbnails it reconstructs")
    latent: int = Field(128, ge=2, le=1024, description="numbers that an image is squeezed into")
    width: int = Field(32, ge=4, le=256, description="channels of the first convolution")
    beta: float = Field(1e-3, ge=0, description="weight of KL beside the mean squared error, both per pixel and channel")
    steps: int = Field(1500, ge=1, description="training steps each round")
    batch: int = Field(64, ge=1, description="thumbnails a step")
    lr: float = Field(1e-3, gt=0, description="learning rate of Adam")
    train_on: Literal["labeled", "all"] = Field("labeled", description="labeled: novel is what is unlike the labelled; all: what is rare")
    max_images: int = Field(20_000, ge=1, description="at most so many images, drawn at random, are held for training")


class ScorerOptions(Options):
    """Options of a scorer."""

    def learned_weights(self) -> dict[str, str]:
        """Weight → score term, of the weights that are fitted to true losses round after round; empty where all are given."""
        return {}

    def further_members(self) -> int:
        """How many detectors beside the round's own are trained on the same labels and asked as well."""
        return 0

    def trains_vae(self) -> bool:
        """Whether each round trains a VAE, of `scorer.vae`, before the pool is scored."""
        return False


class DualOptions(ScorerOptions):
    """score = alpha * norm(L_rec) + beta * norm(L_det)."""

    alpha: float | Literal["auto"] = Field(0.5, description="weight of L_rec; auto: both are fitted to the true losses seen so far")
    beta: float | Literal["auto"] = Field(0.5, description="weight of L_det")
    normalize: Literal["z", "rank"] = Field("z", description="standardised over the pool, or ranked into [0, 1]")
    reconstruction: Literal["raw", "complexity"] = Field("complexity", description="error as it is, or less what complexity explains")
    detection: Surrogate = Field("expected", description="the surrogate of the detection loss; oracle_loss: the loss itself, in simulation")

    @model_validator(mode="after")
    def _weights(self) -> Self:
        if (self.alpha == "auto") != (self.beta == "auto"):
            raise ValueError("alpha and beta are 'auto' together or not at all")
        if self.alpha != "auto" and self.beta != "auto" and (self.alpha < 0 or self.beta < 0):
            raise ValueError("alpha and beta are 0 or larger: higher scores are worth more")
        return self

    def needs(self) -> frozenset[str]:
        return _of_a_loss(self.detection) if self.beta != 0 else frozenset()

    def learned_weights(self) -> dict[str, str]:
        return {"alpha": "L_rec", "beta": "L_det"} if self.alpha == "auto" else {}

    def trains_vae(self) -> bool:
        return self.alpha != 0


class ReconstructionOptions(ScorerOptions):
    """L_rec alone."""

    was: ClassVar = {"reconstruction": "error"}
    error: Literal["raw", "complexity"] = Field("complexity", description="error as it is, or less what complexity explains")

    def trains_vae(self) -> bool:
        return True


class DetectionLossOptions(ScorerOptions):
    """L_det alone."""

    detection: Surrogate = Field("expected", description="the surrogate of the detection loss; oracle_loss: the loss itself, in simulation")

    def needs(self) -> frozenset[str]:
        return _of_a_loss(self.detection)


class BoxOptions(ScorerOptions):
    """Of scorers that measure each box."""

    aggregate: Aggregate = Field("max", description="from boxes to the image; sum favours crowded images")


class UncertaintyOptions(BoxOptions):
    was: ClassVar = {"uncertainty": "measure"}
    measure: Literal["least_confidence", "margin", "entropy", "gate"] = Field("entropy", description="how a box's doubt is measured")


class DropoutOptions(BoxOptions):
    passes: int = Field(10, ge=2, le=100, description="stochastic passes of the heads an image")
    dropout: float = Field(0.2, gt=0, lt=1, description="share of the channels before the heads that a pass drops")


class EnsembleOptions(BoxOptions):
    members: int = Field(3, ge=2, le=20, description="detectors in all; each round trains the further ones as well")

    def further_members(self) -> int:
        return self.members - 1


class ForecastOptions(ScorerOptions):
    parts: tuple[Literal["expected", "learned", "uncertain"], ...] = Field(
        ("expected", "learned", "uncertain"), min_length=1, description="the surrogates of the true loss that it joins"
    )
    learn: bool = Field(True, description="weights fitted to the true losses seen so far; else all parts weigh the same")

    def needs(self) -> frozenset[str]:
        return frozenset(need for part in self.parts for need in _NEEDS_OF_A_PART[part])

    def learned_weights(self) -> dict[str, str]:
        return {part: f"forecast:{part}" for part in self.parts} if self.learn else {}


class ScorerConfig(Choice):
    """What images are scored by, for strategies that go by scores; the default goes by none.

    `vae` and `pseudo_threshold` serve several scorers, embedders and the audit.
    """

    name: str = Field("auto", description="which scorer, see `boxwise methods scorers`; auto: the one that the strategy goes by, or none")
    pseudo_threshold: float = Field(0.5, gt=0, lt=1, description="confidence of a flipped detection that becomes a pseudo target")
    vae: VaeConfig = VaeConfig()
    dual: DualOptions = DualOptions()
    reconstruction: ReconstructionOptions = ReconstructionOptions()
    detection_loss: DetectionLossOptions = DetectionLossOptions()
    uncertainty: UncertaintyOptions = UncertaintyOptions()
    consistency: BoxOptions = BoxOptions()
    box_disagreement: BoxOptions = BoxOptions()
    mc_dropout: DropoutOptions = DropoutOptions()
    ensemble: EnsembleOptions = EnsembleOptions()
    forecast: ForecastOptions = ForecastOptions()


class EfficientNetOptions(Options):
    weights: Path | None = Field(None, description="a copy of the release's file on this computer; null: it is downloaded")


class DinoOptions(Options):
    weights: str = Field(
        "facebook/dinov2-small", description="a name at the hub, a folder of save_pretrained, or a file of the model's tensors"
    )


class EmbeddingConfig(Choice):
    """What images look alike by, for strategies that go by embeddings and for near-duplicates; round 0 has `cold_start.embedding`."""

    name: str = Field("detector", description="which embedder; `boxwise methods embedders` lists them")
    efficientnet_lite0: EfficientNetOptions = EfficientNetOptions()
    dinov2_small: DinoOptions = DinoOptions()


class ShortlistOptions(Options):
    oversample: float = Field(4.0, ge=1, description="shortlist of oversample x budget by score")


class CaldOptions(Options):
    oversample: float = Field(1.2, ge=1, description="shortlist of oversample x budget by score")


class SamplingOptions(Options):
    temperature: float = Field(0.5, gt=0, description="draws in proportion to exp(z-score / temperature)")


class GainOptions(Options):
    rarity: float = Field(0.5, ge=0, le=5, description="objects of rare classes count (mean / count)^rarity; 0: alike")
    novelty: float = Field(1.0, ge=0, le=5, description="distance to labelled and picked counts by this power; 0: not")
    per_second: bool = Field(True, description="gain for each second of labour, not for each image")
    weight: float | Literal["fidelity"] = Field(
        "fidelity", description="of the gain beside coverage; fidelity: as far as scores predicted the losses of the images labelled last"
    )

    @model_validator(mode="after")
    def _is_a_share(self) -> Self:
        if self.weight != "fidelity" and not 0 <= self.weight <= 1:
            raise ValueError(f"weight is {self.weight:g}, expected 0 (coverage alone) to 1 (the gain counts in full), or 'fidelity'")
        return self


class StrategyConfig(Choice):
    """Which images are asked for."""

    name: str = Field("facility_location", description="which strategy; `boxwise methods strategies` lists them")
    duplicates: float | None = Field(
        None, gt=0, lt=1, description="cosine of image embeddings above which a duplicate of a picked or labelled image is left out"
    )
    score_then_diversity: ShortlistOptions = ShortlistOptions()
    ppal: ShortlistOptions = ShortlistOptions()
    cald: CaldOptions = CaldOptions()
    score_sampling: SamplingOptions = SamplingOptions()
    gain_per_second: GainOptions = GainOptions()


class RatioOptions(Options):
    ratio_train: float = Field(0.6, ge=0, le=1, description="al_ratio from which an image is trained on and asked again")
    ratio_join: float = Field(0.3, ge=0, le=1, description="al_ratio up to which an image joins the labelled set")

    @model_validator(mode="after")
    def _apart(self) -> Self:
        if self.ratio_join >= self.ratio_train:
            raise ValueError(f"ratio_join {self.ratio_join} is not below ratio_train {self.ratio_train}")
        return self


class ScoreOptions(Options):
    score_train: float = Field(0.4, ge=0, le=1, description="sl_score up to which an image is trained on and asked again")
    score_join: float = Field(0.6, ge=0, le=1, description="sl_score from which an image joins the labelled set")

    @model_validator(mode="after")
    def _apart(self) -> Self:
        if self.score_train >= self.score_join:
            raise ValueError(f"score_train {self.score_train} is not below score_join {self.score_join}")
        return self


class CealOptions(Options):
    delta: float = Field(0.05, gt=0, description="entropy (nats) below which a box is self-labelled, in round 1")
    delta_rate: float = Field(0.0033, ge=0, description="what delta loses each round")
    most_self_labeled: float = Field(1.0, ge=0, description="pool images self-labelled, per labelled one")


class MiningOptions(Options):
    gate: float = Field(0.15, gt=0, description="loss above which a box is left to a person, in round 1")
    gate_step: float = Field(0.05, ge=0, description="what the gate gains each round, up to 1")
    pace: float = Field(0.5, gt=0, description="loss at which the weight of a self-labelled box reaches 0")
    mined_images: int = Field(64, ge=1, description="pool images cross-validated a round")
    most_self_labeled: float = Field(1.0, ge=0, description="pool images self-labelled, per labelled one")


class PolicyConfig(Choice):
    """Which annotated and self-labelled images each training sees. K is budget.per_round, or the images that it bought."""

    name: str = Field("all_labeled", description="which policy; `boxwise methods policies` lists them")
    self_weight: float = Field(1.0, ge=0, le=1, description="weight in the loss of a box that no person answered for")
    ratio_threshold: RatioOptions = RatioOptions()
    score_threshold: ScoreOptions = ScoreOptions()
    ceal: CealOptions = CealOptions()
    sample_mining: MiningOptions = MiningOptions()


def _of_a_loss(surrogate: str) -> frozenset[str]:
    return frozenset({_NEEDS_OF_A_LOSS[surrogate]} if surrogate in _NEEDS_OF_A_LOSS else ())
