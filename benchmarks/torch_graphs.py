"""RDIDN, IDN and IMDN as plain PyTorch modules: the peers that benchmarks time.

`from_keras` copies the weights, so that a benchmark can show that both compute the same.
"""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from keras_imaging.ops import bicubic_phases


def conv(inputs, outputs, size=3, groups=1):
    return nn.Conv2d(inputs, outputs, size, padding=size // 2, groups=groups)


class Enhancement(nn.Module):
    def __init__(self, C, d, e, groups):
        super().__init__()
        self.e = e
        self.first = nn.ModuleList(
            [conv(C, C - d), conv(C - d, C - 2 * d, groups=groups), conv(C - 2 * d, C)]
        )
        self.second = nn.ModuleList(
            [conv(C - e, C), conv(C, C - d, groups=groups), conv(C - d, C + e)]
        )

    def forward(self, x):
        y = x
        for layer in self.first:
            y = F.leaky_relu(layer(y), 0.05)
        r, y = y[:, : self.e], y[:, self.e :]
        for layer in self.second:
            y = F.leaky_relu(layer(y), 0.05)
        return torch.cat([x, r], 1) + y


class DistillationBlock(nn.Module):
    def __init__(self, C, d, e, groups, residual):
        super().__init__()
        self.residual = residual
        self.enhancement = Enhancement(C, d, e, groups)
        self.compression = conv(C + e, C, 1)

    def forward(self, x):
        y = self.compression(self.enhancement(x))
        return x + y if self.residual else F.leaky_relu(y, 0.05)


class RDIDN(nn.Module):
    def __init__(self, scale, channels, filters, num_blocks, distilled, channel_step, groups,
                 upsample_filters, stages):  # fmt: skip
        super().__init__()
        C, self.scale = filters, scale
        self.head1, self.head2 = conv(channels, C), conv(C, C)
        self.blocks = nn.ModuleList(
            [DistillationBlock(C, channel_step, distilled, groups, True) for _ in range(num_blocks)]
        )
        self.fuse = nn.ModuleList([conv(C * k, C, 1) for k in range(2, num_blocks + 1)])
        self.gff1, self.gff2 = conv(C * (num_blocks + 1), C, 1), conv(C, C)
        self.up = nn.ModuleList(
            [
                nn.ConvTranspose2d(C if k == 0 else upsample_filters, upsample_filters, 3 * f, f, f)
                for k, f in enumerate(stages)
            ]
        )
        self.tail = conv(upsample_filters, channels)

    def forward(self, x):
        head = F.relu(self.head2(F.relu(self.head1(x))))
        features = [head]
        for k, block in enumerate(self.blocks):
            z = self.fuse[k - 1](torch.cat(features, 1)) if k else head
            features.append(block(z))
        y = self.gff2(self.gff1(torch.cat(features, 1))) + head
        for up in self.up:
            y = F.leaky_relu(up(y), 0.05)
        return self.tail(y) + F.interpolate(x, scale_factor=self.scale, mode="nearest")


class IDN(nn.Module):
    def __init__(self, scale, channels, filters, num_blocks, distilled, channel_step, groups):
        super().__init__()
        C, self.scale = filters, scale
        self.conv1, self.conv2 = conv(channels, C), conv(C, C)
        self.blocks = nn.ModuleList(
            [
                DistillationBlock(C, channel_step, distilled, groups, False)
                for _ in range(num_blocks)
            ]
        )
        self.upsample = nn.ConvTranspose2d(C, channels, 17, scale, 8)
        bank = bicubic_phases(scale)
        kernel = np.einsum("ip,jq->pqij", bank, bank).reshape(scale**2, 1, 5, 5)
        self.register_buffer("bicubic", torch.tensor(kernel, dtype=torch.float32))

    def forward(self, x):
        y = F.leaky_relu(self.conv2(F.leaky_relu(self.conv1(x), 0.05)), 0.05)
        for block in self.blocks:
            y = block(y)
        s = self.scale
        # Half-sample symmetric borders of two pixels.
        padded = torch.cat([x[:, :, 1:2], x[:, :, :1], x, x[:, :, -1:], x[:, :, -2:-1]], 2)
        padded = torch.cat(
            [padded[..., 1:2], padded[..., :1], padded, padded[..., -1:], padded[..., -2:-1]], 3
        )
        bicubic = F.pixel_shuffle(F.conv2d(padded, self.bicubic), s)
        return bicubic + F.pad(self.upsample(y), (s - 1, 0, s - 1, 0))


class MultiDistillation(nn.Module):
    def __init__(self, C):
        super().__init__()
        self.e = C // 4
        self.refinements = nn.ModuleList([conv(C, C), conv(C - self.e, C), conv(C - self.e, C)])
        self.last = conv(C - self.e, self.e)
        self.squeeze, self.excite, self.fusion = (
            conv(C, C // 16, 1),
            conv(C // 16, C, 1),
            conv(C, C, 1),
        )

    def forward(self, x):
        parts, y = [], x
        for layer in self.refinements:
            y = F.leaky_relu(layer(y), 0.05)
            parts.append(y[:, : self.e])
            y = y[:, self.e :]
        y = torch.cat([*parts, self.last(y)], 1)
        variance, mean = torch.var_mean(y, dim=(2, 3), keepdim=True, correction=0)
        gate = torch.sigmoid(self.excite(F.relu(self.squeeze(torch.sqrt(variance + 1e-12) + mean))))
        return x + self.fusion(y * gate)


class IMDN(nn.Module):
    def __init__(self, scale, channels, filters, num_blocks):
        super().__init__()
        self.scale = scale
        self.head = conv(channels, filters)
        self.blocks = nn.ModuleList([MultiDistillation(filters) for _ in range(num_blocks)])
        self.fusion = conv(filters * num_blocks, filters, 1)
        self.refinement = conv(filters, filters)
        self.tail = conv(filters, channels * scale**2)

    def forward(self, x):
        head = self.head(x)
        y, outputs = head, []
        for block in self.blocks:
            y = block(y)
            outputs.append(y)
        y = F.leaky_relu(self.fusion(torch.cat(outputs, 1)), 0.05)
        return F.pixel_shuffle(self.tail(self.refinement(y) + head), self.scale)


def from_keras(model) -> nn.Module:
    """The PyTorch twin of a Keras model, with its weights."""
    config = model.get_config()
    take = lambda *names: {name: config[name] for name in names}  # noqa: E731
    body = ("filters", "num_blocks", "distilled", "channel_step", "groups")
    common = ("scale", "channels")
    match type(model).__name__:
        case "RDIDN":
            stages = {2: (2,), 3: (3,), 4: (2, 2), 8: (2, 2, 2)}[config["scale"]]
            twin = RDIDN(**take(*common, *body, "upsample_filters"), stages=stages)
            n, up = config["num_blocks"], len(stages)
            order = ["head1", "head2", *(f"block{k + 1}" for k in range(n))]
            order += [*(f"fuse{k}" for k in range(2, n + 1)), "gff1", "gff2"]
            order += [*(f"upsample{k + 1}" for k in range(up)), "tail"]
        case "IDN":
            twin = IDN(**take(*common, *body))
            order = ["conv1", "conv2"]
            order += [*(f"block{k + 1}" for k in range(config["num_blocks"])), "upsample"]
        case "IMDN":
            twin = IMDN(**take(*common, "filters", "num_blocks"))
            order = ["head", *(f"block{k + 1}" for k in range(config["num_blocks"]))]
            order += ["fusion", "refinement", "upsample"]
    weights = [w for name in order for w in model.get_layer(name).get_weights()]
    with torch.no_grad():
        for parameter, weight in zip(twin.parameters(), weights, strict=True):
            if weight.ndim == 4:
                weight = weight.transpose(3, 2, 0, 1)
            if type(model).__name__ == "IMDN" and parameter.shape[0] == twin.tail.out_channels:
                # PyTorch orders sub-pixel channels (colour, row phase, column phase).
                s, c = config["scale"], config["channels"]
                phases = weight.reshape(s, s, c, *weight.shape[1:])
                weight = np.moveaxis(phases, 2, 0).reshape(weight.shape)
            parameter.copy_(torch.tensor(np.ascontiguousarray(weight)))
    return twin
