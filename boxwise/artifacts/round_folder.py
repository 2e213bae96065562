"""Where a round keeps its files: each has one name, spelled here and nowhere else.

Knows nothing of what is in them: each kind has one read/write pair (detections_file.py, box_tables.py, scored_pool.py, vae_history.py,
written_out.py; weights and checkpoints are the detectors').
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RoundFolder:
    """The files of one round; most exist only after the step that leaves them."""

    path: Path

    @property
    def weights(self) -> Path:
        """TRAIN: the detector."""
        return self.path / "weights.pt"

    @property
    def checkpoint(self) -> Path:
        """TRAIN: the state of a training that is under way."""
        return self.path / "checkpoint.pt"

    def fold_checkpoint(self, number: int) -> Path:
        """TRAIN: the state of the training without one fold, kept until the step is done."""
        return self.path / f"checkpoint_fold{number}.pt"

    def checkpoints(self) -> list[Path]:
        """TRAIN: all states of trainings that are there."""
        return [self.checkpoint, *self.path.glob("checkpoint_fold*.pt")]

    def member_weights(self, number: int) -> Path:
        """SCORE: a further member of an ensemble."""
        return self.path / f"weights_member{number}.pt"

    def member_checkpoint(self, number: int) -> Path:
        return self.path / f"checkpoint_member{number}.pt"

    @property
    def proposals(self) -> Path:
        """SELECT: what the model suggests on the images asked about."""
        return self.path / "proposals.parquet"

    @property
    def written_out(self) -> Path:
        """ANNOTATE: what images were written with to be corrected elsewhere, and which files came back."""
        return self.path / "written_out.json"

    @property
    def self_labels(self) -> Path:
        """COMPOSE: pool images under the model's own labels."""
        return self.path / "self_labels.parquet"

    @property
    def val_detections(self) -> Path:
        """EVALUATE: what was detected on val."""
        return self.path / "val_detections.parquet"

    @property
    def detections(self) -> Path:
        """SCORE: what was detected on the pool."""
        return self.path / "detections.parquet"

    @property
    def scores(self) -> Path:
        """SCORE: one row an image of the pool."""
        return self.path / "scores.parquet"

    @property
    def embeddings(self) -> Path:
        """SCORE: of the pool and of what is labelled, and expected objects by class."""
        return self.path / "embeddings.npz"

    @property
    def boxes(self) -> Path:
        """SCORE: detected boxes as columns, where the strategy asks for them."""
        return self.path / "boxes.npz"

    @property
    def consistency(self) -> Path:
        """SCORE: how boxes stood up to cross-image validation."""
        return self.path / "consistency.parquet"

    @property
    def pool_pass(self) -> Path:
        """SCORE: a folder with the parts of a pool pass that is under way."""
        return self.path / "pool_pass"

    def forward(self, weights: str) -> Path:
        """SCORE: the forward pass of the detector with the weights of that digest as an ONNX graph, where ONNX Runtime scores."""
        return self.path / f"forward-{weights[:16]}.onnx"

    def forwards(self) -> list[Path]:
        """SCORE: all graphs that are there."""
        return sorted(self.path.glob("forward*.onnx"))

    def of_training(self) -> list[Path]:
        """SCORE: what is there that was made from the round's training and is made again only where it is not there."""
        return [*self.forwards(), *self.path.glob("weights_member*.pt"), *self.path.glob("checkpoint_member*.pt")]

    @property
    def vae(self) -> Path:
        """SCORE: the reconstruction model."""
        return self.path / "vae.pt"

    @property
    def vae_history(self) -> Path:
        return self.path / "vae_history.csv"

    @property
    def reconstructions(self) -> Path:
        """SCORE: images beside their reconstructions."""
        return self.path / "reconstructions.png"


def embeddings_folder(study: Path) -> Path:
    """Where the study in folder `study` keeps embeddings that no training changes, a folder for each embedder (kept_embeddings.py)."""
    return study / "embeddings"


def round_folder(study: Path, number: int) -> RoundFolder:
    """The files of round `number` of the study in folder `study`."""
    return RoundFolder(study / "rounds" / f"round_{number:02d}")
