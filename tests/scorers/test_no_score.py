import numpy as np
from blob_detector import BlobDetector, samples

from boxwise.detectors.input import InputSpec
from boxwise.detectors.loading import image_batches
from boxwise.scorers.no_score import NoScore


def test_measures_nothing_and_scores_zero(scenes):
    scorer, detector = NoScore(), BlobDetector()
    assert scorer.fit(samples(scenes), [], detector=detector, rng=np.random.default_rng(0)) == {}
    assert scorer.measure(detector, detector.view(next(iter(image_batches(scenes, InputSpec(64), batch=4))))) == {}
    assert scorer.score(["a", "b"], {}).values.tolist() == [0, 0]
