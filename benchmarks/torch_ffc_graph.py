"""FFC-ResNet as plain PyTorch modules, on torch.fft: the peer that benchmarks/ffc.py times.

Written from the definition of the layers, in the form that PyTorch users run: transforms of complex
tensors, real and imaginary parts alternating as channels. Names are those of the published state
dicts, so that `models.converters.torch_ffc` moves weights between this and `models.FFCResNet`.
"""

import torch
from torch import nn
from torch.nn import functional as F


def conv(inputs, outputs, size=1, stride=1):
    return nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)


class FourierUnit(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv_layer = conv(2 * inputs, 2 * outputs)
        self.bn = nn.BatchNorm2d(2 * outputs)

    def forward(self, x):
        batch, _, height, width = x.shape
        spectrum = torch.view_as_real(torch.fft.rfft2(x, norm="ortho"))
        y = spectrum.permute(0, 1, 4, 2, 3).reshape(batch, -1, height, width // 2 + 1)
        y = F.relu(self.bn(self.conv_layer(y)))
        y = y.reshape(batch, -1, 2, height, width // 2 + 1).permute(0, 1, 3, 4, 2).contiguous()
        return torch.fft.irfft2(torch.view_as_complex(y), s=(height, width), norm="ortho")


class SpectralTransform(nn.Module):
    def __init__(self, inputs, outputs, stride, lfu):
        super().__init__()
        half = outputs // 2
        self.stride = stride
        self.conv1 = nn.Sequential(conv(inputs, half), nn.BatchNorm2d(half), nn.ReLU())
        self.fu = FourierUnit(half, half)
        self.lfu = FourierUnit(half, half) if lfu else None
        self.conv2 = conv(half, outputs)

    def forward(self, x):
        if self.stride == 2:
            x = F.avg_pool2d(x, 2)
        x = self.conv1(x)
        y = x + self.fu(x)
        if self.lfu is not None:
            quarter = x[:, : x.shape[1] // 4]
            rows = torch.cat(quarter.chunk(2, 2), 1)
            y = y + self.lfu(torch.cat(rows.chunk(2, 3), 1)).repeat(1, 1, 2, 2)
        return self.conv2(y)


class FFC(nn.Module):
    def __init__(self, inputs, outputs, size, ratio_in, ratio_out, stride, lfu):
        super().__init__()
        in_g, out_g = int(inputs * ratio_in), int(outputs * ratio_out)
        in_l, out_l = inputs - in_g, outputs - out_g
        self.convl2l = conv(in_l, out_l, size, stride) if in_l and out_l else None
        self.convl2g = conv(in_l, out_g, size, stride) if in_l and out_g else None
        self.convg2l = conv(in_g, out_l, size, stride) if in_g and out_l else None
        self.convg2g = SpectralTransform(in_g, out_g, stride, lfu) if in_g and out_g else None

    def forward(self, pair):
        x_l, x_g = pair
        outputs = []
        for from_local, from_global in ((self.convl2l, self.convg2l), (self.convl2g, self.convg2g)):
            parts = [m(x) for m, x in ((from_local, x_l), (from_global, x_g)) if m is not None]
            outputs.append(sum(parts[1:], parts[0]) if parts else None)
        return outputs


class FFCBNAct(nn.Module):
    def __init__(self, inputs, outputs, size, ratio_in, ratio_out, stride=1, lfu=True, act=True):
        super().__init__()
        self.ffc = FFC(inputs, outputs, size, ratio_in, ratio_out, stride, lfu)
        out_g = int(outputs * ratio_out)
        self.bn_l = nn.BatchNorm2d(outputs - out_g) if outputs > out_g else None
        self.bn_g = nn.BatchNorm2d(out_g) if out_g else None
        self.act = act

    def forward(self, pair):
        norms = (self.bn_l, self.bn_g)
        parts = [None if x is None else bn(x) for x, bn in zip(self.ffc(pair), norms, strict=True)]
        return [F.relu(x) if self.act and x is not None else x for x in parts]


class Bottleneck(nn.Module):
    def __init__(self, inputs, planes, stride, ratio_in, ratio_out, lfu, project):
        super().__init__()
        filters = 4 * planes
        self.conv1 = FFCBNAct(inputs, planes, 1, ratio_in, ratio_out, lfu=lfu)
        self.conv2 = FFCBNAct(planes, planes, 3, ratio_out, ratio_out, stride, lfu)
        self.conv3 = FFCBNAct(planes, filters, 1, ratio_out, ratio_out, lfu=lfu, act=False)
        self.downsample = None
        if project:
            self.downsample = FFCBNAct(inputs, filters, 1, ratio_in, ratio_out, stride, lfu, False)

    def forward(self, pair):
        y = self.conv3(self.conv2(self.conv1(pair)))
        x = pair if self.downsample is None else self.downsample(pair)
        return [None if b is None else F.relu(a + b) for a, b in zip(x, y, strict=True)]


class FFCResNet(nn.Module):
    def __init__(self, blocks=(3, 4, 6, 3), ratio=0.5, lfu=True, width=64, classes=1000):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, width, 7, 2, 3, bias=False), nn.BatchNorm2d(width)
        inputs = width
        for stage, number in enumerate(blocks, start=1):
            planes, layers = width * 2 ** (stage - 1), []
            for k in range(number):
                r_in = 0 if (stage == 1 if k == 0 else stage == 4) else ratio
                r_out = 0 if stage == 4 else ratio
                stride = 2 if k == 0 and stage > 1 else 1
                layers.append(Bottleneck(inputs, planes, stride, r_in, r_out, lfu, k == 0))
                inputs = 4 * planes
            setattr(self, f"layer{stage}", nn.Sequential(*layers))
        self.fc = nn.Linear(inputs, classes)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        pair = [x, None]
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            pair = stage(pair)
        return self.fc(pair[0].mean((2, 3)))


def from_keras(model) -> nn.Module:
    """The PyTorch twin of a `models.FFCResNet` with bottlenecks, with its weights."""
    from keras_imaging.models.converters.torch_ffc import torch_state_dict

    config = model.get_config()
    twin = FFCResNet(
        config["blocks"], config["ratio"], config["use_lfu"], config["width"], config["classes"]
    )
    state = {name: torch.tensor(array) for name, array in torch_state_dict(model).items()}
    missing, surplus = twin.load_state_dict(state, strict=False)
    if surplus or any(not name.endswith("num_batches_tracked") for name in missing):
        raise ValueError(f"The twin lacks {surplus[:3]} and has the unknown {missing[:3]}.")
    return twin.eval()
