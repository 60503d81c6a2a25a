"""Pictures of MR reconstruction to look at: PSNR by iteration, the ladder, coil maps.

    python benchmarks/mri_pictures.py iterations --data VAL.npz --out iterations.png
    python benchmarks/mri_pictures.py ladder --data benchmarks/results/mri_ladder.json --out x.png
    python benchmarks/mri_pictures.py coils --data multicoil.npz --out coils.png

`iterations`: the shipped networks' images after every iteration, mean over slices of the first
contrast. `ladder`: what mri_ladder.py found, a dot for each seed. `coils`: maps by ESPIRiT of a
scan, `kspace` of shape (height, width, coils), magnitudes above phases. The sheet of one
reconstruction is what `keras-imaging reconstruct` draws.
"""

import argparse
import json
import pathlib

import numpy as np
from PIL import Image, ImageDraw, ImageFont

NETWORKS = ("pdhg_csnet_small", "cp_net_small", "pd_net_small")
COLOURS = [(0, 90, 180), (200, 80, 0), (20, 130, 60), (140, 40, 140), (90, 90, 90)]
SIZE = (760, 460)
LEFT, RIGHT, TOP, BOTTOM = 70, 250, 30, 50


def plot(series, x_label, y_label, ticks, lines=True):
    """Points by label, joined if wanted, with their axes.

    Args:
        series: `{label: [(x, y), ...]}`.
        x_label, y_label: of the axes.
        ticks: `{x: label}`.
        lines: whether to join the points.
    """
    canvas = Image.new("RGB", SIZE, "white")
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(size=15)
    xs, ys = zip(*(point for points in series.values() for point in points), strict=True)
    left, right = min(*xs, *ticks) - 0.2, max(*xs, *ticks) + 0.2
    low, high = np.floor(min(ys)), np.ceil(max(ys))

    def place(x, y):
        return (
            LEFT + (x - left) / (right - left) * (SIZE[0] - LEFT - RIGHT),
            SIZE[1] - BOTTOM - (y - low) / (high - low) * (SIZE[1] - TOP - BOTTOM),
        )

    for y in np.linspace(low, high, 5):
        draw.line((*place(left, y), *place(right, y)), fill=(220, 220, 220))
        draw.text((LEFT - 8, place(left, y)[1]), f"{y:g}", "black", font, anchor="rm")
    for x, label in ticks.items():
        draw.text((place(x, low)[0], SIZE[1] - BOTTOM + 8), label, "black", font, anchor="ma")
    draw.text((LEFT, 6), y_label, "black", font)
    draw.text((place((left + right) / 2, low)[0], SIZE[1] - 20), x_label, "black", font, "ma")
    for number, (label, points) in enumerate(series.items()):
        colour = COLOURS[number % len(COLOURS)]
        if lines:
            draw.line([xy for point in points for xy in place(*point)], fill=colour, width=2)
        for x, y in (place(*point) for point in points):
            draw.ellipse((x - 4, y - 4, x + 4, y + 4), fill=colour)
        row = TOP + 24 * number
        draw.rectangle((SIZE[0] - RIGHT + 20, row + 3, SIZE[0] - RIGHT + 32, row + 15), fill=colour)
        draw.text((SIZE[0] - RIGHT + 40, row), label, "black", font)
    return canvas


def after(model, k):
    """A method: the image after the iteration of index k."""
    return lambda inputs: model.predict_on_batch(inputs)[k]


def iterations(data, slices):
    """PSNR after each iteration of the shipped networks; 0 is zero-filling."""
    from keras_imaging import models
    from keras_imaging.data.mri_files import read_images
    from keras_imaging.evaluation import evaluate_mri

    (name, images), *_ = read_images(data).items()
    images = images[:: max(len(images) // slices, 1)][:slices]
    series, ticks = {}, {0: "zero-filled"}
    for network in NETWORKS:
        model = models.load(network, task="mri")
        config = {**model.get_config(), "return_all_layers": True}
        deep = type(model)(**config)
        deep.set_weights(model.get_weights())
        count = len(deep.unfolded)
        methods = {str(k): after(deep, k) for k in range(count)}
        scores = evaluate_mri(methods, {name: images})
        means = [by[name].psnr for by in scores.mean.values()]
        series[network] = list(enumerate(means))
        ticks.update({k: str(k) for k in range(1, count + 1)})
        print(network, [round(mean, 2) for mean in means])
    return plot(series, "iteration", f"PSNR in dB, {name}, {scores.mask}", ticks)


def ladder(data, _):
    """One dot for each seed, above each rung."""
    report = json.loads(data.read_text())
    rungs = list(report["psnr"])
    contrasts = list(report["psnr"][rungs[0]])
    series = {
        contrast: [
            (number, value)
            for number, rung in enumerate(rungs)
            for value in report["psnr"][rung][contrast]["seeds"]
        ]
        for contrast in contrasts
    }
    budget = ", ".join(f"{value} {name}" for name, value in report["budget"].items())
    ticks = dict(enumerate(rungs))
    return plot(series, budget, f"PSNR in dB, {report['mask']}", ticks, lines=False)


def coils(data, _):
    """Magnitudes in grey, phases as colours where there is signal."""
    from keras_imaging.cli.comparison import LABEL_HEIGHT, MARGIN, paste_labelled
    from keras_imaging.data import espirit_maps

    kspace = np.moveaxis(np.load(data)["kspace"], -1, 0)
    maps = espirit_maps(kspace)
    count, height, width = maps.shape
    step = (width + MARGIN, height + MARGIN + LABEL_HEIGHT)
    canvas = Image.new("RGB", (MARGIN + count * step[0], 2 * step[1] + MARGIN), "white")
    for number, one in enumerate(maps):
        grey = np.repeat((255 * np.abs(one) / np.abs(maps).max()).astype("uint8")[..., None], 3, 2)
        hue = ((np.angle(one) / (2 * np.pi) % 1) * 255).astype("uint8")
        full = np.where(np.abs(one) > 0, 255, 0).astype("uint8")
        phase = Image.merge("HSV", [Image.fromarray(a) for a in (hue, full, full)]).convert("RGB")
        for row, (word, panel) in enumerate((("size", grey), ("phase", np.asarray(phase)))):
            corner = (MARGIN + number * step[0], row * step[1])
            paste_labelled(canvas, corner, f"{word} {number + 1}", panel)
    return canvas


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=("iterations", "ladder", "coils"))
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--slices", type=int, default=4)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    args = parser.parse_args()
    draw = {"iterations": iterations, "ladder": ladder, "coils": coils}[args.task]
    draw(args.data, args.slices).save(args.out)


if __name__ == "__main__":
    main()
