"""The demo's settings: digit scenes small enough for two cores, and a small SSD trained from scratch.

Knows nothing of how it is run; `boxwise demo` does that.
"""

from boxwise.config import StudyConfig, parse_config

SEED = 7
IMAGES = 600
DEMO: StudyConfig = parse_config(
    {
        "detector": {"name": "tiny_ssd", "imgsz": 96, "pretrained": False},
        "train": {"epochs": 40, "min_steps": 300, "max_steps": 300, "batch": 16, "lr": 0.02, "augment": "flip"},
        "scorer": {"vae": {"size": 32, "width": 16, "latent": 64, "steps": 200}},
        "budget": {"initial": 60, "per_round": 40, "rounds": 3},
    },
    "demo",
)
