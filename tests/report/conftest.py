"""A small simulation to report on: real PNG images, metrics by the real evaluation, facts as the store would hold them."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_rounds import as_json, made_round
from PIL import Image

from boxwise.boxes import Boxes
from boxwise.evaluation.average_precision import coco_metrics
from boxwise.results.facts import Cell

CLASSES = ("red cell", "<script>alert('x')</script>", "platelet & $co$")
ROUNDS = 4
SKILL = {"random": 0.0, "dual": 0.12, "oracle_loss": 0.2}


def scene(seed: int) -> tuple[np.ndarray, Boxes]:
    """A 96 × 72 image of coloured rectangles on noise, and their boxes."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(150, 190, (72, 96, 3)).astype(np.uint8)
    xyxy, labels = [], []
    for _ in range(rng.integers(0, 6)):
        x, y, w, h = rng.integers(0, 70), rng.integers(0, 50), rng.integers(8, 26), rng.integers(8, 22)
        label = int(rng.choice(3, p=[0.6, 0.25, 0.15]))
        pixels[y : y + h, x : x + w] = [(200, 60, 60), (60, 90, 200), (230, 200, 40)][label]
        xyxy.append((x, y, x + w, y + h))
        labels.append(label)
    return pixels, Boxes(np.array(xyxy, np.float32).reshape(-1, 4), np.array(labels, np.int64))


@cache
def metrics(noise: int, seed: int) -> dict[str, Any]:
    """Metrics of boxes found with `noise` percent of them lost, moved or mistaken."""
    rng = np.random.default_rng([noise, seed])
    truths = {f"t{i}.png": scene(1000 + i)[1] for i in range(24)}
    found = {}
    for image_id, truth in truths.items():
        kept = truth[np.flatnonzero(rng.random(len(truth)) > noise / 140)]
        moved = kept.xyxy + rng.normal(0, 0.01 + noise / 22, kept.xyxy.shape)
        labels = np.where(rng.random(len(kept)) < noise / 250, rng.integers(0, 3, len(kept)), kept.labels)
        found[image_id] = Boxes(moved, labels, rng.random(len(kept)).astype(np.float32) * 0.6 + 0.4)
    return coco_metrics(found, truths, CLASSES).to_json()


def facts(arm: str, seed: int, round_index: int, *, test: bool) -> dict[str, Any]:
    """What the store would hold of one finished round."""
    rng = np.random.default_rng([seed, round_index, len(arm)])
    noise = int(70 * np.exp(-0.35 * round_index) * (1 - SKILL[arm] * min(round_index, 2)) + 6 * rng.random())
    scored = arm != "random" and round_index > 0
    terms = [{"L_rec": float(a), "L_det": float(b)} if scored else {} for a, b in rng.normal(0, 1.2, (5, 2))]
    items = [
        {
            "image_id": f"r{round_index}_{i}.png",
            "utility": sum(t.values()) / 2,
            "terms": t,
            "split": "val" if round_index == 0 and i == 4 else "train",
        }
        for i, t in enumerate(sorted(terms, key=lambda t: -sum(t.values())))
    ]
    steps = range(50, 301, 50)
    history = [{"step": s, "lr": 0.01 * (1 - s / 320), "box": 2 * np.exp(-s / 150), "class": 3 * np.exp(-s / 120)} for s in steps]
    val = metrics(noise + 2, seed + 50)
    boxes = int((round_index + 1) * (14 if arm == "random" else 17) + rng.integers(0, 6))
    spent = {"images": 20 * (round_index + 1), "boxes": boxes, "seconds": 40.0 * (round_index + 1) + 7.0 * boxes, "val_images": 6}
    training = {"steps": 300, "stopped_early": round_index == 2, "best_ap": val["ap"], "images_per_second": 91.5, "seconds": 52.0}
    pool = {"pool": 200 - 20 * round_index, "images_per_second": 120.0, "scorer": {"vae_error": 0.01}}
    spread = {"mean": 0.0, "std": 1.0, "quantiles": [-2, -1, 0, 1, 2]}
    fidelity = {"expected": 0.2 + 0.1 * round_index, "pseudo": 0.1 * round_index - 0.1, "score": 0.3, "learned": None}
    return {
        "select": {"items": items, "strategy": "random" if arm == "random" or round_index == 0 else "top_k"},
        "annotate": spent | {"new_images": 20, "new_boxes": 14, "new_seconds": 138.0},
        "audit": {
            "n": 20 if round_index else 0,
            "fidelity": fidelity if scored else {},
            "weights": {"alpha": 0.4, "beta": 0.6} if scored else None,
        },
        "train": training | {"history": history},
        "evaluate": {"val": val, "test": metrics(noise, seed + 9) if test else None},
        "score": pool | {"terms": {"L_rec": spread} if scored else {}},
    }


def cooperative_facts(seed: int, round_index: int) -> dict[str, Any]:
    """What a round adds in which the model labels the boxes it is sure of; round 0 is labelled by hand, before there is a model."""
    rng = np.random.default_rng([7, seed, round_index])
    ids = [f"r{round_index}_{i}.png" for i in range(4)]
    ratio = dict(zip(ids, rng.random(4).round(2).tolist(), strict=True)) if round_index else dict.fromkeys(ids, 1.0)
    rate = [
        {"confidence": c, "calibrated": c**1.6, "precision": c**1.5, "count": int(900 * (1.05 - c))} for c in np.linspace(0.05, 0.95, 10)
    ]
    classes = {name: {"threshold": 0.8, "detections": 40, "precision": 0.96, "recall": 0.61} for name in CLASSES[:2]}
    classes[CLASSES[2]] = {"threshold": None, "detections": 0, "precision": None, "recall": None}
    calibration = {"method": "temperature", "target": 0.95, "temperature": 1.4, "ece_before": 0.12, "ece_after": 0.03}
    actions = {"add": 14} if not round_index else {"keep": 9, "move": 3, "relabel": 1, "delete": 4, "add": 6}
    return {
        "select": {
            "whole": 15 if round_index else 20,
            "boxwise": 4 if round_index else 0,
            "self_labeled": 1 if round_index else 0,
            "requeued": 2 if round_index > 1 else 0,
            "val_drawn": 3 if round_index else 0,
        },
        "annotate": {
            "model_boxes": 12 * round_index,
            "new_model_boxes": 12 if round_index else 0,
            "by_hand_seconds": 170.0 + round_index * 280.0,
            "new_by_hand_seconds": 280.0 if round_index else 170.0,
            "actions": actions,
        },
        "audit": {
            "true_losses": {image_id: float(i) for i, image_id in enumerate(ids)} if round_index == 2 else {},
            "lure": {"loss": 1.25, "error": 0.31, "mean_loss": 1.75, "mean_error": 0.44, "images": 20, "pool": 180}
            if round_index
            else None,
        },
        "compose": {
            "policy": "topk_ratio",
            "trained": 16 + 10 * round_index,
            "labeled": 20 + 5 * round_index,
            "joined": ids[:2] if round_index else [],
            "requeued": ids[2:3] if round_index else [],
            "released": [],
            "al_boxes": 40 + 10 * round_index,
            "sl_boxes": 12 * round_index,
            "self_images": 7 * round_index,
            "self_boxes": 15 * round_index,
            "al_ratio": ratio,
            "sl_score": {image_id: 0.9 * (1 - value) for image_id, value in ratio.items()},
        },
        "evaluate": {
            "val_parts": {"original": metrics(40 - 9 * round_index, seed)}
            | {f"round {r}": metrics(50 - 5 * r, r) for r in range(1, round_index + 1)}
        },
        "score": {
            "thresholds": {"certain": [0.8, 0.75, None], "uncertain": 0.3},
            "calibration": calibration | {"bins": rate, "classes": classes},
        },
    }


def judged_self_labels(round_index: int) -> dict[str, Any]:
    """How right the model was, as simulation leaves it: better round by round, 20 objects a class."""
    of_class = {name: {"self_labeled": 10, "correct": 6 + round_index - label, "objects": 20} for label, name in enumerate(CLASSES)}
    pool = {name: {"self_labeled": 20, "correct": 10, "objects": 25} for name in CLASSES}
    return {"annotated": of_class, "pool": pool}


def write_artefacts(folder: Path) -> None:
    """A reconstruction sheet and the VAE's curves, as the scorer leaves them in a round's folder."""
    folder.mkdir(parents=True)
    tiles = [np.vstack([pixels, pixels // 2 + 60]) for pixels, _ in map(scene, range(8))]
    Image.fromarray(np.hstack(tiles)).save(folder / "reconstructions.png")
    lines = [f"{s},{0.08 * np.exp(-s / 300) + 0.01:.5f},{2 + s / 500:.4f}" for s in range(50, 1501, 50)]
    (folder / "vae_history.csv").write_text("step,reconstruction,kl\n" + "\n".join(lines) + "\n")


MakeCells = Callable[..., list[Cell]]


@pytest.fixture(scope="session")
def make_cells(tmp_path_factory: pytest.TempPathFactory) -> MakeCells:
    """Cells for the given arms and seeds, sharing one folder of images; `test` says whether there is a test split."""
    root = tmp_path_factory.mktemp("simulation")
    images, labels = {}, {}
    for round_index in range(ROUNDS):
        for i in range(5):
            pixels, boxes = scene(10 * round_index + i)
            path = root / "images" / f"r{round_index}_{i}.png"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(pixels).save(path)
            images[path.name], labels[path.name] = path, boxes

    def make(arms: tuple[str, ...] = ("dual", "oracle_loss", "random"), seeds: int = 2, *, test: bool = True) -> list[Cell]:
        return [_cell(root, arm, seed, images, labels, test=test) for arm in arms for seed in range(seeds)]

    return make


def _cell(root: Path, arm: str, seed: int, images: dict[str, Path], labels: dict[str, Boxes], *, test: bool) -> Cell:
    folder = root / f"{arm}_{seed}"
    if arm != "random" and not folder.exists():
        for round_index in range(ROUNDS):
            write_artefacts(folder / "rounds" / f"round_{round_index:02d}")
    config = {
        "seed": seed,
        "device": "cpu",
        "scorer": {"name": "none" if arm == "random" else "dual", "alpha": 0.5},
        "strategy": {"name": arm},
    }
    rounds = tuple(made_round(round_index, facts(arm, seed, round_index, test=test)) for round_index in range(ROUNDS))
    return Cell(arm, seed, folder, config, CLASSES, rounds, "upper bound" if arm == "oracle_loss" else "arm", images, labels)


@pytest.fixture(scope="session")
def make_cooperative(make_cells: MakeCells) -> MakeCells:
    """Cells as of `make_cells` in which a person reviews the model's boxes: every fact of cooperation is there."""

    def make(arms: tuple[str, ...] = ("dual",), seeds: int = 1, *, test: bool = True) -> list[Cell]:
        return [_cooperative(cell) for cell in make_cells(arms, seeds, test=test)]

    return make


def _cooperative(cell: Cell) -> Cell:
    ways = {"ask": {"mode": "review"}, "policy": {"name": "topk_ratio"}, "stop": {"ap_range": 2}}
    rounds = tuple(made_round(r.round, _merged(as_json(r), cooperative_facts(cell.seed, r.round))) for r in cell.rounds)
    by_model = {image_id: np.arange(len(boxes)) % 2 == 0 for image_id, boxes in cell.labels.items()}
    judged = {str(r.round): judged_self_labels(r.round) for r in cell.rounds if r.round}
    return replace(cell, config={**cell.config, **ways}, rounds=rounds, by_model=by_model, self_labels=judged)


def _merged(facts: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    return {phase: {**(facts.get(phase) or {}), **(more.get(phase) or {})} for phase in {**facts, **more}}
