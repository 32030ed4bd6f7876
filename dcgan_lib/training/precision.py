"""Number formats: the convolutions may be computed in half precision, the losses never are."""

import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from dcgan_lib.utils.device import autocast_dtype


def mixed_precision(precision: str, device: torch.device) -> dict:
    """The options `bf16` and `scaler` of `training_step` for a configuration's precision."""
    dtype = autocast_dtype(precision, device)
    return {
        "bf16": dtype == torch.bfloat16,
        "scaler": torch.amp.GradScaler(device.type, enabled=dtype == torch.float16),
    }


def half_precision(
    device: torch.device, bf16: bool, scaler: torch.amp.GradScaler | None
) -> tuple[torch.autocast, torch.amp.GradScaler]:
    """Where convolutions are computed in float16, in bf16 or as they are; and the scaler.

    float16 comes with a scaler. Where none is given, it is one that changes nothing.
    """
    scaler = scaler or torch.amp.GradScaler(enabled=False)
    dtype = torch.float16 if scaler.is_enabled() else torch.bfloat16
    return torch.autocast(device.type, dtype, enabled=bf16 or scaler.is_enabled()), scaler


def cross_entropy(logits: torch.Tensor, label: float) -> torch.Tensor:
    """Binary cross-entropy between answers, as logits, and one label; never in half precision."""
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))
