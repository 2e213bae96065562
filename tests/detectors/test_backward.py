"""A batch in pieces of one image has the gradients of the batch, the loss-prediction head's pairs among them."""

import pytest
import torch
from dot_network import DotNetwork, LossHead, dot_samples

from boxwise.detectors.backward import backward
from boxwise.detectors.distributed import Ranks
from boxwise.detectors.network import TrainingLosses
from boxwise.detectors.training_data import TrainingBatches


class PerObject(DotNetwork):
    """Divides its loss by what it finds in the images it sees, which is another number for each piece, as detectors do."""

    def training_step(self, pixels, valid, targets):
        losses = super().training_step(pixels, valid, targets)
        per = torch.tensor(sum(3 * len(target.xyxy) for target in targets))
        terms = {name: values * len(targets) / per.clamp(min=1) for name, values in losses.terms.items()}
        return TrainingLosses(terms, losses.features, per=per)


def gradients(samples, pieces, kind):
    """Of network and head after one batch, with what each term is."""
    network, torch_head = kind(norm=False, dropout=0), LossHead(8 * 49, 1)
    torch.nn.init.constant_(torch_head.weight, 0.01)
    batches = TrainingBatches(
        samples, batch=len(samples), share=range(len(samples)), spec=network.input, augment="none", seed=0, cache_mb=1
    )
    terms, per = backward(network, torch_head, batches[0], device=torch.device("cpu"), amp=False, pieces=pieces, ranks=Ranks())
    found = [part.grad for module in (network, torch_head) for part in module.parameters()]
    Ranks().average([*found, *terms.values()], of=per)
    return found, terms


@pytest.mark.parametrize("kind", [DotNetwork, PerObject])
@pytest.mark.parametrize("pieces", [3, 6])
def test_pieces_make_the_gradients_of_the_whole(tmp_path, kind, pieces):
    samples = dot_samples(tmp_path, count=6)
    whole, terms = gradients(samples, 1, kind)
    in_pieces, same = gradients(samples, pieces, kind)
    assert float(terms["ranking"]) > 0 and whole[-2].abs().max() > 0
    for expected, found in zip(whole, in_pieces, strict=True):
        torch.testing.assert_close(found, expected)
    for name, value in terms.items():
        torch.testing.assert_close(same[name], value)
