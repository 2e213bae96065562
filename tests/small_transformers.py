"""The families of the extra [hf] with small random weights, in folders as the package transformers saves them: there is no hub here."""

import logging
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from boxwise.detectors import transformer

# What a folder holds, read once: the package takes a third of a second for each reading. A test puts it in the place of the module's own.
released_once = cache(transformer.released)
_FOLDERS: list[TemporaryDirectory[str]] = []  # they go when Python does
_LABELS = {0: "person", 1: "aeroplane", 2: "cat"}  # as some releases name them
_DETR = {
    "encoder_hidden_dim": 32, "encoder_in_channels": [16, 16, 32], "encoder_ffn_dim": 32, "encoder_attention_heads": 2, "d_model": 32,
    "num_queries": 20, "decoder_in_channels": [32, 32, 32], "decoder_layers": 2, "decoder_ffn_dim": 32, "decoder_attention_heads": 2,
    "num_denoising": 10,
}  # fmt: skip
_STAGES = {"out_features": ["stage2", "stage3", "stage4"], "embedding_size": 8, "hidden_sizes": [8, 16, 16, 32], "depths": [1, 1, 1, 1]}
_HGNET = {
    "model_type": "hgnet_v2", "stem_channels": [3, 8, 8], "stage_in_channels": [8, 8, 16, 16], "stage_mid_channels": [8, 8, 8, 8],
    "stage_out_channels": [8, 16, 16, 32], "stage_num_blocks": [1, 1, 1, 1], "stage_downsample": [False, True, True, True],
    "stage_light_block": [False, False, True, True], "stage_kernel_size": [3, 3, 5, 5], "stage_numb_of_layers": [2, 2, 2, 2], **_STAGES,
}  # fmt: skip
_DINO = {
    "model_type": "rf_detr_dinov2", "hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2, "num_windows": 2,
    "image_size": 112, "patch_size": 14, "out_indices": [2, 4],
}  # fmt: skip
SMALL: dict[str, dict[str, Any]] = {
    "dfine_s": {**_DETR, "backbone_config": _HGNET, "hidden_size": 32, "max_num_bins": 8},
    "rtdetr_v2_r18": {**_DETR, "backbone_config": {"model_type": "rt_detr_resnet", "layer_type": "basic", **_STAGES}},
    "rf_detr_base": {
        "backbone_config": _DINO, "d_model": 32, "decoder_layers": 2, "num_queries": 20, "group_detr": 3, "decoder_self_attention_heads": 2,
        "decoder_cross_attention_heads": 2, "decoder_ffn_dim": 32, "dropout": 0.0,
    },
}  # fmt: skip
IMGSZ = {"dfine_s": 96, "rtdetr_v2_r18": 96, "rf_detr_base": 112}


@cache
def small_transformer(name: str) -> Path:
    """A folder with a small random model of the family, over three classes."""
    import transformers

    from boxwise.detectors.transformer import FAMILIES

    logging.getLogger("transformers").setLevel(logging.ERROR)
    family = FAMILIES[name]
    labels = {"id2label": _LABELS, "label2id": {label: index for index, label in _LABELS.items()}}
    config = getattr(transformers, family.config)(**SMALL[name], **labels)
    _FOLDERS.append(TemporaryDirectory(prefix=f"boxwise-{name}-"))
    folder = Path(_FOLDERS[-1].name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        getattr(transformers, family.model)(config).save_pretrained(folder)
    return folder


@cache
def small_sam2() -> Path:
    """A folder with a small random SAM 2."""
    import transformers

    logging.getLogger("transformers").setLevel(logging.ERROR)
    backbone = {
        "model_type": "sam2_hiera_det_model", "hidden_size": 8, "image_size": [128, 128], "blocks_per_stage": [1, 1, 2, 1],
        "embed_dim_per_stage": [8, 16, 32, 64], "num_attention_heads_per_stage": [1, 1, 2, 2], "window_size_per_stage": [4, 4, 4, 4],
        "window_positional_embedding_background_size": [4, 4], "global_attention_blocks": [3],
    }  # fmt: skip
    vision = {
        "model_type": "sam2_vision_model", "backbone_config": backbone, "backbone_channel_list": [64, 32, 16, 8],
        "backbone_feature_sizes": [[32, 32], [16, 16], [8, 8]], "fpn_hidden_size": 32,
    }  # fmt: skip
    prompts = {"hidden_size": 32, "image_size": 128}
    masks = {"hidden_size": 32, "mlp_dim": 32, "num_attention_heads": 2, "iou_head_hidden_dim": 32}
    _FOLDERS.append(TemporaryDirectory(prefix="boxwise-sam2-"))
    folder = Path(_FOLDERS[-1].name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = transformers.Sam2Config(vision_config=vision, prompt_encoder_config=prompts, mask_decoder_config=masks)
        transformers.Sam2Model(config).save_pretrained(folder)
    return folder
