"""A detector's forward pass by ONNX Runtime: what torch's gives, to rounding, for everything that is read off a view.

The graph holds the network from pixels to its outputs; losses, boxes and embeddings are computed from these by the same code as ever.
Knows nothing of files of images, studies or scorers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from boxwise.detectors.base import ImageBatch
from boxwise.detectors.detector import TorchDetector
from boxwise.detectors.exporting import noise, quietly
from boxwise.detectors.fusion import for_inference, fused
from boxwise.detectors.network import Network
from boxwise.detectors.onnx_provider import PROVIDERS, check_onnx, provider_of
from boxwise.errors import BoxwiseError
from boxwise.files import replacing

APART = 1e-3  # the most that an output may differ from torch's, of itself where it is above 1; measured: some 1e-5


class OnnxForward:
    """Runs one network's forward pass in a session of ONNX Runtime. provider: which of ONNX Runtime's does."""

    def __init__(self, network: Network, path: Path, *, device: str, to: torch.device) -> None:
        """The graph that `write` left at `path`; `to`: where torch goes on with its outputs. Raises BoxwiseError for another file."""
        import onnxruntime

        self._network, self._to = network, to
        self._template = _outputs(network, noise(network.input, 2))
        self._varying = _varying(network)
        name, options = PROVIDERS[provider_of(device)]
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = torch.get_num_threads()
        settings.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle threads must not take another process's time
        try:
            self._session = onnxruntime.InferenceSession(path.read_bytes(), settings, providers=[(name, dict(options))])
        except Exception as error:  # the runtime has errors of its own, of all kinds
            raise BoxwiseError(f"{path}: ONNX Runtime cannot run it ({str(error).partition(chr(10))[0]}).") from error
        self.provider = self._session.get_providers()[0]
        self._inputs = {entry.name for entry in self._session.get_inputs()}

    def __call__(self, pixels: Tensor, valid: Tensor) -> Any:
        given = {"pixels": pixels.contiguous().cpu().numpy(), "valid": valid.cpu().numpy()}
        found = self._session.run(None, {name: values for name, values in given.items() if name in self._inputs})
        values = iter(torch.from_numpy(array).to(self._to) for array in found)
        kept = zip(_tensors(self._template), self._varying, strict=True)
        return _rebuilt(self._template, iter([next(values) if varies else constant for constant, varies in kept]))

    def dropped(self, pixels: Tensor, valid: Tensor, *, passes: int, rate: float, seed: int) -> list[Any]:
        """By torch: the graph has no dropout."""
        return for_inference(self._network).dropped(pixels, valid, passes=passes, rate=rate, seed=seed)


def run_by_onnx(detector: TorchDetector, path: Path, *, device: str) -> None:
    """Let views of `detector` be made by ONNX Runtime from now on, until its weights change; the graph is written to `path` unless it is
    there.

    Raises BoxwiseError where the graph's outputs are not the network's.
    """
    check_onnx(detector.config.name, device)
    if not path.exists():
        write(detector.network, path, device=device)
    detector.infer_with(OnnxForward(detector.network, path, device=device, to=detector.device))


def write(network: Network, path: Path, *, device: str = "onnx") -> None:
    """The network's forward pass as an ONNX graph for batches of any size; in place only when it gives what torch gives."""
    batch = noise(network.input, 2)
    graph = _Graph(network).to("cpu").eval()
    with replacing(path) as aside, quietly():
        program = torch.onnx.export(
            graph,
            (batch.pixels, batch.valid),
            dynamo=True,
            input_names=["pixels", "valid"],
            dynamic_shapes=({0: (size := torch.export.Dim("batch", min=1, max=1024))}, {0: size}),
            verbose=False,
        )
        assert program is not None
        program.save(aside, external_data=False)
        forward = OnnxForward(network, aside, device=device, to=torch.device("cpu"))
        apart = max(_apart(network, forward, noise(network.input, images)) for images in (1, 3))
        if not apart <= APART:
            raise BoxwiseError(f"{path}: not written. ONNX Runtime's outputs differ from torch's by {apart:.3g}, expected at most {APART}.")


class _Graph(nn.Module):
    """pixels uint8 [B, 3, H, W], valid int64 [B, 2] → the tensors of the network's outputs that are of the batch."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.varying = _varying(network)
        self.network = fused(network)

    def forward(self, pixels: Tensor, valid: Tensor) -> tuple[Tensor, ...]:
        found = zip(_tensors(self.network(pixels, valid)), self.varying, strict=True)
        return tuple(tensor for tensor, varies in found if varies)


def _outputs(network: Network, batch: ImageBatch) -> Any:
    device = next(network.parameters()).device
    with torch.inference_mode():
        return network(batch.pixels.to(device), batch.valid.to(device))


def _varying(network: Network) -> list[bool]:
    """Which of the outputs' tensors grow with the batch; the others, such as cells, are the same for every batch."""
    two, three = (_tensors(_outputs(network, noise(network.input, images))) for images in (2, 3))
    return [a.shape != b.shape for a, b in zip(two, three, strict=True)]


def _tensors(value: Any) -> Iterator[Tensor]:
    """The tensors of nested dataclasses and tuples, in order."""
    if isinstance(value, Tensor):
        yield value
    else:
        for part in _parts(value):
            yield from _tensors(part)


def _rebuilt(template: Any, tensors: Iterator[Tensor]) -> Any:
    """What `template` is, of other tensors."""
    if isinstance(template, Tensor):
        return next(tensors)
    parts, kind = [_rebuilt(part, tensors) for part in _parts(template)], cast(Any, type(template))
    return kind(*parts) if is_dataclass(template) else kind(parts)


def _parts(value: Any) -> list[Any]:
    return [getattr(value, field.name) for field in fields(value)] if is_dataclass(value) else list(value)


def _apart(network: Network, forward: OnnxForward, batch: ImageBatch) -> float:
    """The largest difference of an output, relative where it is above 1; infinite for other shapes and what is not finite."""
    pairs = zip(_tensors(_outputs(network, batch)), _tensors(forward(batch.pixels, batch.valid)), strict=True)
    return max(_difference(mine.float().cpu().numpy(), theirs.float().numpy()) for mine, theirs in pairs)


def _difference(mine: np.ndarray, theirs: np.ndarray) -> float:
    if mine.shape != theirs.shape:
        return float("inf")
    apart = float((np.abs(mine - theirs) / np.maximum(np.abs(mine), 1)).max(initial=0))
    return apart if np.isfinite(apart) else float("inf")
