"""Which given keys of a configuration nothing reads, so that two arms of a comparison that differ in them alone are one.

Returns a sentence a key. Imports strategies and policies, and no torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set

from boxwise.config import StudyConfig, override_keys
from boxwise.detectors.names import DETECTORS, TRANSFORMERS
from boxwise.errors import listed
from boxwise.registry.checking import SECTIONS, scorer_options, settled
from boxwise.registry.methods import Methods
from boxwise.registry.tables import POLICIES, STRATEGIES

_OF_TARGET_PRECISION = ("ask.confidence", "ask.calibration")
_JUDGED_ON_VAL = ("train.ap_shift", "train.ap_range", "train.val_every", "train.patience", "stop.ap_shift", "stop.ap_range")
# Detectors that are trained by AdamW unless the config says otherwise.
_BY_ADAMW = frozenset({*TRANSFORMERS, *(name for name in DETECTORS if name.startswith("yolox_"))})
_NONE = (0, "0%")


def without_effect(config: StudyConfig, overrides: Iterable[str], *, simulated: bool = False, val_images: int | None = None) -> list[str]:
    """`key has no effect: why` for each of `overrides`, key=value, that nothing reads under `config`.

    simulated: whether nobody looks at the labelling page. val_images: how many the data have, None where that is not known yet.
    """
    return _idle([(settled(config), val_images)], overrides, simulated=simulated)


def without_effect_in_any(cells: Iterable[tuple[StudyConfig, int]], overrides: Iterable[str]) -> list[str]:
    """As `without_effect`, of what nothing reads in any cell of simulations: why not in each. cells: (config, val images)."""
    return _idle([(settled(config), val_images) for config, val_images in cells], overrides, simulated=True)


def _idle(cells: Sequence[tuple[StudyConfig, int | None]], overrides: Iterable[str], *, simulated: bool) -> list[str]:
    sentences = []
    for override in overrides:
        reasons = [
            _why_idle(config, key.split("."), simulated=simulated, val_images=val_images)
            for config, val_images in cells
            for key in override_keys([override])
        ]
        if reasons and all(reasons):
            different = list(dict.fromkeys(reasons if len(cells) > 1 else reasons[:1]))
            where = " in any arm" if len(different) > 1 else ""
            sentences.append(f"{override.partition('=')[0]} has no effect{where}: {listed(different)}.")
    return sentences


def _why_idle(config: StudyConfig, place: list[str], *, simulated: bool, val_images: int | None) -> str | None:
    """Why nothing reads the key at `place`; None where something does."""
    section, key = place[0], ".".join(place)
    if section in SECTIONS and len(place) > 2 and place[1] in SECTIONS[section] and (why := _of_another_method(config, section, place[1])):
        return why
    if section == "ask":
        return _why_not_asked(config, key, simulated=simulated)
    if section == "labelling" and simulated:
        return "nobody labels by hand in a simulation"
    if section == "annotator" and not simulated:
        return "only a simulated annotator has habits"
    if key == "policy.self_weight" and simulated:  # a study has boxes of the model of rounds in which it asked otherwise
        return _why_not_weighted(config)
    if key == "embedding.name" and not _goes_by_embeddings(config):
        return f"strategy {config.strategy.name} goes by no embeddings"
    if key.startswith("scorer.vae.") and not (scorer_options(config.scorer).trains_vae() or "vae" in _embedders(config)):
        return "no VAE is trained"
    if key in _JUDGED_ON_VAL and val_images == 0 and _draws_no_val(config):
        return "there is no val to judge by"
    return _overruled(config, key, simulated=simulated, val_images=val_images)


def _overruled(config: StudyConfig, key: str, *, simulated: bool, val_images: int | None) -> str | None:
    """Why another key leaves nothing for this one to say; None where it does not."""
    train, dual, name = config.train, config.scorer.dual, config.detector.name
    one_length = "train.min_steps and train.max_steps are the same"
    reasons: dict[str, list[tuple[bool, str]]] = {
        "detector.nms_iou": [(name in TRANSFORMERS, f"{name} finds each object once, and suppresses none")],
        "train.epochs": [(train.min_steps == train.max_steps, one_length)],
        "train.momentum": [
            (train.optimizer == "adamw", "train.optimizer is adamw"),
            (train.optimizer == "auto" and name in _BY_ADAMW, f"{name} is trained by AdamW"),
        ],
        "train.milestones": [(train.schedule != "multistep", f"train.schedule is {train.schedule}")],
        "train.warmup_steps": [(train.schedule == "onecycle", "train.schedule is onecycle, which has a rise of its own")],
        "train.patience": [
            (train.schedule not in ("auto", "plateau"), f"train.schedule is {train.schedule}"),
            (train.val_every == 0, "train.val_every is 0"),
            (train.schedule == "auto" and train.ap_shift > 0, "train.ap_shift ends the training"),
            (train.schedule == "auto" and train.min_steps == train.max_steps, one_length),
        ],
        "train.ap_range": [(train.ap_shift == 0, "train.ap_shift is 0")],
        "train.amp": [(config.device == "cpu", "device is cpu")],
        "scorer.vae.train_on": [(not scorer_options(config.scorer).trains_vae(), "an embedder's VAE learns from all images")],
        "scorer.dual.reconstruction": [(dual.alpha == 0, "scorer.dual.alpha is 0")],
        "scorer.dual.detection": [(dual.beta == 0, "scorer.dual.beta is 0")],
        "cold_start.embedding": [(config.cold_start.name == "random", "cold_start.name is random")],
        "labelling.sam2": [(config.labelling.assist != "sam2", f"labelling.assist is {config.labelling.assist}")],
        "budget.validation": [(train.folds > 0, f"train.folds is {train.folds}"), (bool(val_images), "val has images already")],
    }
    return next((why for overruled, why in reasons.get(key, ()) if overruled), None)


def _of_another_method(config: StudyConfig, section: str, method: str) -> str | None:
    """Why an option of `method` is not read; None where the method is in use."""
    name: str = getattr(config, section).name
    if section == "embedding":
        if method in _embedders(config):
            return None
        return f"strategy {config.strategy.name} goes by no embeddings" if method == name else f"embedding.name is {name}"
    used = {name} | ({config.cold_start.name} if section == "strategy" else set())
    return None if method in used else f"{section}.name is {name}"


def _why_not_weighted(config: StudyConfig) -> str | None:
    if config.ask.mode not in ("full", "boxes") or _may(POLICIES, config.policy.name, "labels_pool"):
        return None
    return f"ask.mode is {config.ask.mode}, where every box is a person's"


def _why_not_asked(config: StudyConfig, key: str, *, simulated: bool) -> str | None:
    ask = config.ask
    of_page = key == "ask.uncertain" and not simulated  # from which score on it shows what the model sees
    if key == "ask.mode" or of_page:
        return None
    if ask.mode == "full" and not _may(POLICIES, config.policy.name, "labels_pool"):
        return "ask.mode is full, where people draw everything"
    if key == "ask.certain" and ask.target_precision is not None:
        return "ask.target_precision finds it on val"
    if key in _OF_TARGET_PRECISION and ask.target_precision is None:
        return "ask.target_precision is not given"
    return None


def _draws_no_val(config: StudyConfig) -> bool:
    return not config.train.folds and config.budget.validation in _NONE and config.budget.val_per_round in _NONE


def _goes_by_embeddings(config: StudyConfig) -> bool:
    return config.strategy.duplicates is not None or _may(STRATEGIES, config.strategy.name, "uses_embeddings")


def _embedders(config: StudyConfig) -> Set[str]:
    """Those that something goes by."""
    used = {config.embedding.name} if _goes_by_embeddings(config) else set()
    return used | ({config.cold_start.embedding} if config.cold_start.name != "random" else set())


def _may(methods: Methods, name: str, trait: str) -> bool:
    """Whether a method has a trait of its kind; of a package's, which its own options may decide, that it may have."""
    return methods.package_of(name) is not None or bool(getattr(methods[name].load(), trait, True))
