"""PD-net as a plain PyTorch module: the peer that `benchmarks/mri.py` times.

`from_keras` copies the weights, so that the benchmark can show that both compute the same.
"""

import torch
from torch import nn
from torch.nn import functional as F

AXES = (-2, -1)


def fft2c(x):
    x = torch.fft.ifftshift(x, dim=AXES)
    return torch.fft.fftshift(torch.fft.fft2(x, norm="ortho"), dim=AXES)


def ifft2c(x):
    x = torch.fft.ifftshift(x, dim=AXES)
    return torch.fft.fftshift(torch.fft.ifft2(x, norm="ortho"), dim=AXES)


class Block(nn.Module):
    """Three convolutions on complex images `(batch, height, width)`."""

    def __init__(self, images, filters):
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv2d(a, b, 3, padding=1)
            for a, b in ((2 * images, filters), (filters, filters), (filters, 2))
        )

    def forward(self, *images):
        x = torch.cat([torch.view_as_real(image).movedim(-1, 1) for image in images], 1)
        first, second, last = self.convolutions
        x = last(F.relu(second(F.relu(first(x)))))
        return torch.view_as_complex(x.movedim(1, -1).contiguous())


class PDNet(nn.Module):
    """One coil, started from the zero-filled image, scaled by its largest value."""

    def __init__(self, n_iterations, filters):
        super().__init__()
        self.image_blocks = nn.ModuleList(Block(2, filters) for _ in range(n_iterations))
        self.kspace_blocks = nn.ModuleList(Block(3, filters) for _ in range(n_iterations))

    def forward(self, kspace, mask):
        f = torch.view_as_complex(kspace) * mask
        x = ifft2c(f)
        scale = x.abs().amax(dim=AXES, keepdim=True)
        x, f = x / scale, f / scale
        d = torch.zeros_like(f)
        for image_block, kspace_block in zip(self.image_blocks, self.kspace_blocks, strict=True):
            d = d + kspace_block(d, mask * fft2c(x), f)
            x = x + image_block(x, ifft2c(mask * d))
        return torch.view_as_real(x * scale)


def from_keras(model):
    """The twin of a `keras_imaging.models.PDNet`."""
    layers = model.unfolded
    twin = PDNet(len(layers), layers[0].filters)
    for layer, image_block, kspace_block in zip(
        layers, twin.image_blocks, twin.kspace_blocks, strict=True
    ):
        for ours, theirs in ((layer.image_block, image_block), (layer.kspace_block, kspace_block)):
            for convolution, other in zip(ours.convolutions, theirs.convolutions, strict=True):
                kernel, bias = convolution.get_weights()
                with torch.no_grad():
                    other.weight.copy_(torch.from_numpy(kernel.transpose(3, 2, 0, 1).copy()))
                    other.bias.copy_(torch.from_numpy(bias))
    return twin
