"""What the embedders of other packages' networks need, and whether that is there, as far as it shows without torch and without a network.

Raises one message. Importing this imports no embedder.
"""

from __future__ import annotations

from importlib.util import find_spec

from boxwise.config import Options
from boxwise.config.methods import EfficientNetOptions
from boxwise.errors import ConfigError

PACKAGES = {"efficientnet_lite0": "timm", "dinov2_small": "transformers"}  # what is needed beyond boxwise's own
NEEDS_EXTRA = "embedder {name} needs the package {package}: pip install 'boxwise[hf]'"


def check_embedder(name: str, options: Options) -> None:
    """ConfigError for a package that is missing and a file that is not there."""
    package = PACKAGES.get(name)
    if package is not None and find_spec(package) is None:
        raise ConfigError(NEEDS_EXTRA.format(name=name, package=package))
    if isinstance(options, EfficientNetOptions) and options.weights is not None and not options.weights.is_file():
        raise ConfigError(f"embedding.{name}.weights={options.weights}: no such file. Expected the weights of tf_efficientnet_lite0.")
