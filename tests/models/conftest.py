import pytest
import torch
from torch import nn


@pytest.fixture
def generator():
    """One stream of random numbers a test."""
    return torch.Generator().manual_seed(0)


@pytest.fixture
def shaken(generator):
    """Gives every norm of a network values that are not its start values, as training would."""

    def shake(network):
        for module in network.modules():
            if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
                module.running_mean.normal_(0, 0.1, generator=generator)
                module.running_var.uniform_(0.5, 1.5, generator=generator)
            if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d, nn.InstanceNorm2d)) and module.affine:
                module.weight.data.uniform_(0.5, 1.5, generator=generator)
                module.bias.data.normal_(0, 0.1, generator=generator)
        return network

    return shake
