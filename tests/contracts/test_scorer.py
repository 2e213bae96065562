"""What every scorer promises, for each one that has a name and for each way in which its options change what it does."""

from typing import get_args

import numpy as np
import torch

from boxwise.config import ScorerConfig, StudyConfig
from boxwise.config.methods import DetectionLossOptions
from boxwise.registry import SCORERS, needs_oracle
from boxwise.scorers.fitted_file import read_fitted, write_fitted
from boxwise.scorers.uncertainty import MEASURES
from boxwise.testing import ScorerContract
from boxwise.testing.scorers import VAE, score

SURROGATES = get_args(DetectionLossOptions.model_fields["detection"].annotation)
CONFIGS = {
    **{name: ScorerConfig(name=name, vae=VAE) for name in SCORERS},
    **{f"dual-{kind}": ScorerConfig(name="dual", dual={"detection": kind, "reconstruction": "raw"}, vae=VAE) for kind in SURROGATES},
    **{f"{kind} alone": ScorerConfig(name="detection_loss", detection_loss={"detection": kind}) for kind in SURROGATES},
    **{f"uncertainty, {kind}": ScorerConfig(name="uncertainty", uncertainty={"measure": kind, "aggregate": "mean"}) for kind in MEASURES},
    "uncertainty, summed": ScorerConfig(name="uncertainty", uncertainty={"aggregate": "sum"}),
    "dual by rank": ScorerConfig(name="dual", dual={"normalize": "rank"}, vae=VAE),
    "dual, alpha 0": ScorerConfig(name="dual", dual={"alpha": 0, "beta": 1}, vae=VAE),
    "dual, beta 0": ScorerConfig(name="dual", dual={"alpha": 1, "beta": 0}, vae=VAE),
}


class TestScorers(ScorerContract):
    names = tuple(CONFIGS)

    def config(self, name: str) -> ScorerConfig:
        return CONFIGS[name]

    def test_its_file_is_read_as_it_was_written(self, name, records, scorer, scores, tmp_path):
        if needs_oracle(StudyConfig(scorer=self.config(name))):
            return
        write_fitted(tmp_path / "scorer.pt", scorer)
        read = read_fitted(tmp_path / "scorer.pt", device=torch.device("cpu"))
        assert read is not None
        there = score(read, self.detector(name), records)
        assert np.array_equal(scores.values, there.values) and scores.terms.keys() == there.terms.keys()
