"""What the commands of `keras-imaging train` share: pictures in, a run with progress, a report."""

import pathlib
from collections.abc import Callable, Iterable, Iterator, Sequence

import typer

from keras_imaging.cli.output import print_json
from keras_imaging.cli.quiet import quiet_start
from keras_imaging.cli.refusals import STREAMS, check_data
from keras_imaging.cli.train.recipe_options import Run


class Pictures:
    """Training pictures; files that cannot be read are named and skipped."""

    def __init__(self):
        self.skipped = []

    def of(self, source: str | pathlib.Path) -> Iterable:
        """The pictures of a folder, or `tfds:NAME` of tensorflow-datasets."""
        from keras_imaging import training

        source = str(source)
        if source.startswith("tfds:"):
            return training.tfds_images(source.removeprefix("tfds:"))
        return training.folder_images(source, on_skip=self.skip)

    def rgb(self, source: str | pathlib.Path) -> Iterator:
        """Likewise, grey ones as RGB, without alpha."""
        from keras_imaging.data.images import colours

        return map(colours, self.of(source))

    def skip(self, reason: str) -> None:
        """Name a file that cannot be read, and go on."""
        self.skipped.append(reason)
        typer.echo(f"Skipped: {reason}", err=True)

    def skip_once(self, reason: str) -> None:
        """Likewise, of what is read again and again."""
        if reason not in self.skipped:
            self.skip(reason)


def check_run(out: pathlib.Path, *sources: str | pathlib.Path | None) -> None:
    """Refuse, before anything is loaded, a run that cannot be written or has no data.

    Raises:
        ValueError: if `out` is a file, or one of the sources is not there.
    """
    if out.is_file():
        raise ValueError(f"{str(out)!r} is a file; give the name of a folder for the run.")
    for source in sources:
        check_data(source)


def name_of(source: str | pathlib.Path) -> str:
    """What a card says of a source of data."""
    named = str(source).startswith((*STREAMS, "scenes:"))
    return str(source) if named else pathlib.Path(source).resolve().name


def validation_on(folder: pathlib.Path) -> tuple[Callable, dict]:
    """A function that scores a network as its task is scored, and what the card says of it.

    Args:
        folder: of pictures.
    """
    from keras_imaging.data.images import list_images

    number = len(list_images(folder))

    def validate(model):
        from keras_imaging.evaluation import figures_of

        rows, _ = figures_of(model, {folder.name: str(folder)})
        if len(rows) == 1:
            return next(iter(rows.values()))
        return {f"{name}, {test}": x for test, row in rows.items() for name, x in row.items()}

    return validate, {"data": folder.resolve().name, "images": number}


def train_and_report(recipe, label: str, data, pictures: Pictures, run: Run, **options) -> None:
    """`training.train` with a progress bar, which counts the images being prepared; then `report`.

    Args:
        recipe: see `training.train`.
        label: name of the run.
        data: images for the recipe's sampler, or several sources of them by their names; a
            sequence is read when its pictures are drawn.
        pictures: where those come from; knows in the end what was skipped.
        run: options of the command.
        options: further arguments of `training.train`.
    """
    with quiet_start():
        from keras_imaging.cli.train.progress import training_progress
        from keras_imaging.training import train
    with training_progress(label, recipe.steps) as (prepared, progress):
        if isinstance(data, dict):
            data = {name: prepared(images) for name, images in data.items()}
        elif not isinstance(data, Sequence):
            data = prepared(data)
        result = train(recipe, data, run.out, progress=progress, **run.arguments(), **options)
    report(label, result, run, pictures.skipped)


def report(label: str, result, run: Run, skipped: Sequence[str] = ()) -> None:
    """Print what a training run left; exit with 1 if files were skipped."""
    if run.as_json:
        weights = result.weights
        only = next(iter(weights.values())) if len(weights) == 1 else weights
        print_json({"out": run.out, "weights": only, "skipped": list(skipped), **result.card})
    else:
        figures = ", ".join(f"{name} {value:.5g}" for name, value in result.card["last"].items())
        wrote = "\n".join(f"Wrote {path}" for path in result.weights.values())
        typer.echo(f"{label}: {figures}\n{wrote}")
    if skipped:
        typer.echo(f"{len(skipped)} unreadable files were skipped.", err=True)
        raise typer.Exit(1)
