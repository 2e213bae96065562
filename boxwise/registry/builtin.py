"""Boxwise's own methods by name: where each is built, what it is, its paper, what it needs, what it costs.

Importing this imports none of them. To add one, write its class and name it here (a detector: in detectors/names.py); the contract suites
then test it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from boxwise.config import Choice, EmbeddingConfig, Options, PolicyConfig, ScorerConfig, StrategyConfig
from boxwise.detectors import names
from boxwise.registry.methods import Method

_EXPECTED = frozenset({"expected_loss"})  # by which an image on which nothing is detected is placed
_TRAINED = frozenset({"trained_detector"})
_SCORES = _TRAINED | {"scores"}
_JUDGES = frozenset({"self_labels"})
_ASM = "Wang et al., TNNLS 2019"
_ONCE = "a forward pass an image, once in a study"
_ONE_PASS, _LABELED_PASS = "a second forward pass an image", "a forward pass over what is labelled"


def _with_options(section: type[Choice], methods: Mapping[str, Method]) -> dict[str, Method]:
    """The methods with the class of their options, as the section of the config has it."""
    options = dict(section.methods())
    return {name: replace(method, options=options.get(name, Options)) for name, method in methods.items()}


def _strategy(
    place: str, about: str, *, paper: str = "", needs: frozenset[str] = _TRAINED, cost: str = "none", scorer: str | None = None
) -> Method:
    return Method(f"boxwise.strategies.{place}", about, paper=paper, needs=needs, cost=cost, scorer=scorer)


def _policy(place: str, about: str, *, paper: str = "", needs: frozenset[str] = frozenset(), cost: str = "none") -> Method:
    return Method(f"boxwise.policies.{place}", about, paper=paper, needs=needs, cost=cost)


def _scorer(function: str, about: str, *, paper: str = "", needs: frozenset[str] = frozenset(), cost: str = "none") -> Method:
    return Method(f"boxwise.scorers.building:{function}", about, paper=paper, needs=needs, cost=cost)


def _embedder(place: str, about: str, *, paper: str = "", needs: frozenset[str] = frozenset(), cost: str = _ONCE) -> Method:
    return Method(f"boxwise.embedders.{place}", about, paper=paper, needs=needs, cost=cost)


STRATEGIES = _with_options(
    StrategyConfig,
    {
        "random": _strategy("random:Random", "a uniform draw: the baseline of every comparison", needs=frozenset()),
        "fewest": replace(
            _strategy("fewest:Fewest", "the images that seem emptiest: a floor for comparisons, never for a study"), role="floor"
        ),
        "top_k": _strategy("top_k:TopK", "the highest scores", needs=_SCORES, scorer="dual"),
        "k_center": _strategy(
            "k_center:KCenter", "images that cover the pool's embeddings", paper="Sener & Savarese, ICLR 2018", needs=frozenset(),
            cost=_LABELED_PASS,
        ),
        "facility_location": _strategy(
            "facility_location:FacilityLocation", "images that much of the pool resembles and no label shows",
            paper="Wei, Iyer & Bilmes, ICML 2015", needs=frozenset(), cost=_LABELED_PASS,
        ),
        "badge": _strategy(
            "badge:Badge", "draws spread over what the model is unsure of", paper="after Ash et al., ICLR 2020",
            needs=_TRAINED | {"box_features"},
        ),
        "typiclust": _strategy(
            "typiclust:TypiClust", "the typical image of each cluster that no label covers", paper="Hacohen et al., ICML 2022",
            needs=frozenset(), cost=_LABELED_PASS,
        ),
        "score_then_diversity": _strategy(
            "score_then_diversity:ScoreThenDiversity", "a shortlist by score, then the images that cover it", needs=_SCORES,
            cost=_LABELED_PASS, scorer="dual",
        ),
        "score_sampling": _strategy(
            "score_sampling:ScoreSampling", "draws in proportion to exp(score), with known probabilities", needs=_SCORES, scorer="dual"
        ),
        "ppal": _strategy(
            "ppal:Ppal", "a shortlist by score, then images whose objects differ", paper="Yang et al., CVPR 2024",
            needs=_SCORES | {"box_features"}, scorer="difficulty",
        ),
        "pal": _strategy(
            "pal:Pal", "a budget for each class, spent where that class is in doubt", paper="PAL, CVPR 2026", needs=_SCORES, scorer="pal"
        ),
        "class_balanced": _strategy("class_balanced:ClassBalanced", "images expected to hold what is rare among the labels"),
        "gain_per_second": _strategy(
            "gain_per_second:GainPerSecond", "coverage first, then what an image teaches a second; our own", cost=_LABELED_PASS,
            scorer="forecast",
        ),
        "cald": _strategy(
            "cald:CaldBalance", "a shortlist by score, then images whose classes differ from the labels'",
            paper="Yu et al., CVPR Workshops 2022", needs=_SCORES, scorer="cald",
        ),
    },
)  # fmt: skip

POLICIES = _with_options(
    PolicyConfig,
    {
        "all_labeled": _policy("all_labeled:AllLabeled", "everything annotated, each round"),
        "v1": _policy("v1:V1", "new images and K random labelled ones; nothing joins the labelled set", paper=_ASM),
        "v1plus": _policy("v1plus:V1Plus", "new images and K random labelled ones; all new images join", paper=_ASM),
        "topk_ratio": _policy(
            "topk_ratio:TopKRatio", "the K images most labelled by people; the K least join", paper=_ASM, needs=_JUDGES
        ),
        "ratio_threshold": _policy(
            "ratio_threshold:RatioThreshold", "images mostly labelled by people, asked again; mostly by the model: join", paper=_ASM,
            needs=_JUDGES,
        ),
        "score_threshold": _policy(
            "score_threshold:ScoreThreshold", "images with weak self-labels, asked again; with strong ones: join", paper=_ASM, needs=_JUDGES
        ),
        "ceal": _policy("ceal:Ceal", "everything annotated, and pool boxes of low entropy", paper="Wang et al., TCSVT 2017"),
        "sample_mining": _policy(
            "sample_mining:SampleMining", "everything annotated, and pool boxes that are found again in other images",
            paper="Wang et al., CVPR 2018", cost="five forward passes for each of mined_images",
        ),
    },
)  # fmt: skip

SCORERS = _with_options(
    ScorerConfig,
    {
        "dual": _scorer("dual", "how unfamiliar an image looks and how wrong the detector probably is on it", cost="training a VAE"),
        "reconstruction": _scorer("reconstruction", "how unfamiliar an image looks to a VAE", cost="training a VAE"),
        "detection_loss": _scorer("detection_loss", "how wrong the detector probably is on an image", cost="none; pseudo: a forward pass"),
        "uncertainty": _scorer(
            "uncertainty", "least confidence, margin, entropy or gate loss of the detections", paper="Brust et al., VISAPP 2019",
            needs=_EXPECTED,
        ),
        "cald": _scorer(
            "cald", "how consistent detections are over four views", paper="Yu et al., CVPR Workshops 2022", needs=_EXPECTED,
            cost="four forward passes an image",
        ),
        "consistency": _scorer(
            "consistency", "divergence from the mirror image", paper="Elezi et al., CVPR 2022", needs=_EXPECTED, cost=_ONE_PASS
        ),
        "mc_dropout": _scorer(
            "mc_dropout", "disagreement of passes with dropped channels", paper="Gal & Ghahramani, ICML 2016",
            needs=_EXPECTED | {"dropout"}, cost="`passes` passes of the heads an image",
        ),
        "ensemble": _scorer(
            "ensemble", "disagreement of detectors trained on the same labels", paper="Beluch et al., CVPR 2018", needs=_EXPECTED,
            cost="a training a round and a forward pass an image for each further member",
        ),
        "box_disagreement": _scorer(
            "box_disagreement", "boxes on which the image and its mirror image disagree", paper="Lyu et al., CVPR 2023", needs=_EXPECTED,
            cost=_ONE_PASS,
        ),
        "mixture": _scorer(
            "mixture", "aleatoric and epistemic uncertainty of mixture heads", paper="Choi et al., ICCV 2021",
            needs=_EXPECTED | {"mixture"},
        ),
        "difficulty": _scorer(
            "difficulty", "entropy of the detections, weighted by how hard their class is", paper="Yang et al., CVPR 2024",
            cost=_LABELED_PASS,
        ),
        "pal": _scorer(
            "pal", "doubt that detections are true, calibrated by class", paper="PAL, CVPR 2026", needs=_EXPECTED | {"supports"},
            cost=_LABELED_PASS,
        ),
        "forecast": _scorer("forecast", "the loss to expect, learned from the losses of earlier rounds; our own", cost=_LABELED_PASS),
        "none": _scorer("no_score", "no score at all: for strategies that do without"),
    },
)  # fmt: skip

EMBEDDERS = _with_options(
    EmbeddingConfig,
    {
        "detector": _embedder("detector:detector", "the features of the round's own detector", needs=_TRAINED, cost="none"),
        "backbone": _embedder("detector:detector", "the features of the detector as it begins, before any training"),
        "vae": _embedder(
            "vae:vae", "the latents of a VAE trained on the study's images (scorer.vae)", paper="Kingma & Welling, ICLR 2014",
            needs=frozenset({"study_images"}), cost=f"training a VAE and {_ONCE}",
        ),
        "efficientnet_lite0": _embedder(
            "efficientnet:efficientnet_lite0", "EfficientNet-Lite0 trained on ImageNet (extra hf)", paper="after Tan & Le, ICML 2019"
        ),
        "dinov2_small": _embedder(
            "dinov2:dinov2_small", "the class token of DINOv2, ViT-S/14 (extra hf)", paper="Oquab et al., TMLR 2024"
        ),
    },
)  # fmt: skip

DETECTORS = {
    name: Method("boxwise.registry.building:own_detector", entry.about, paper=entry.paper, offers=entry.capabilities)
    for name, entry in names.DETECTORS.items()
}
