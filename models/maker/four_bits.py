"""Matrices in four bits."""

import torch
from torch.nn.utils import parametrize

GROUP = 32  # weights that share a scale


def four_bits(weights):
    """Levels -7 to 7 and f16 scales, GROUP neighbours in a row sharing one."""
    groups = weights.reshape(weights.shape[0], -1, GROUP)
    scales = (groups.abs().amax(2, keepdim=True) / 7).half().float()
    levels = torch.where(scales > 0, groups / scales, 0.0).round().clamp(-7, 7)
    return levels, scales


def packed(weights):
    """Levels of (rows, columns / 2), two in a byte, the lower half first, and scales in f16."""
    levels, scales = four_bits(weights)
    levels = (levels.reshape(weights.shape) + 8).to(torch.uint8)
    levels = levels[:, 0::2] | (levels[:, 1::2] << 4)
    return levels.contiguous(), scales.squeeze(2).half().contiguous()


def unpacked(levels, scales):
    """The weights of what `packed` made."""
    rows = levels.shape[0]
    levels = torch.stack((levels & 15, levels >> 4), dim=2).float() - 8
    return (levels.view(rows, -1, GROUP) * scales.float().unsqueeze(2)).view(rows, -1)


class FourBits(torch.nn.Module):
    """Makes a matrix behave in training as it will be stored, from when `on` is set for all."""

    on = False

    def forward(self, weights):
        if not FourBits.on:
            return weights
        levels, scales = four_bits(weights)
        stored = (levels * scales).reshape(weights.shape)
        # The gradient passes through the rounding as if it were not there.
        return weights + (stored - weights).detach()

    @staticmethod
    def watch(model):
        for module in model.modules():
            if isinstance(module, (torch.nn.Linear, torch.nn.Embedding)) and len(module.weight) > 2:
                parametrize.register_parametrization(module, "weight", FourBits())
