"""`keras-imaging token-labels`: what a classifier says of every part of training pictures."""

import pathlib
from typing import Annotated

import typer

from keras_imaging.cli import options
from keras_imaging.cli.classifiers import load_classifier
from keras_imaging.cli.output import give_report, progress_bar
from keras_imaging.cli.quiet import quiet_start
from keras_imaging.cli.refusals import check_data, check_weights


def token_labels(
    data: Annotated[
        str,
        typer.Argument(
            help="The training data: a folder with one subfolder for each class, an .npz file with "
            "x and y, or tfds:NAME[:SPLIT]."
        ),
    ],
    teacher: Annotated[
        str,
        typer.Option(help="A classifier: the folder of a run, a .weights.h5 file, or a name."),
    ],
    out: Annotated[
        pathlib.Path, typer.Option(help="Folder of the labels; unfinished ones are continued.")
    ],
    image_size: Annotated[
        int | None,
        typer.Option(
            help="Side at which the teacher sees whole pictures; larger gives finer maps.",
            min=1,
            show_default="the network's own, else twice the card's",
        ),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Label every part of training pictures by a teacher, for `train volo --token-labels`.

    Of every cell the five likeliest classes are kept. Run again after an interruption, it goes on.
    Pictures that cannot be read are named and skipped, as they are in training.
    """
    check_data(data)
    check_weights(teacher)
    if out.is_file():
        raise ValueError(f"{str(out)!r} is a file; give the name of a folder.")
    with quiet_start():
        import keras
        import numpy as np

        from keras_imaging import training
        from keras_imaging.data.token_labels import write_token_labels
    classifier = load_classifier(teacher)
    model, size = classifier.model, classifier.image_size
    if model.input_shape[1] is None:
        size = image_size or 2 * size
    elif image_size not in (None, size):
        model, size = _resized(model, teacher, image_size), image_size
    skipped = {}
    labelled = training.labelled_pictures(
        data, on_skip=lambda reason: skipped.update({reason: reason})
    )
    _check_classes(classifier, labelled.class_names)
    pictures = [picture for picture, _ in labelled.examples]

    class Dense(keras.Model):
        """As a network, it is compiled."""

        def call(self, inputs):
            return model.dense_logits(inputs)

    dense = Dense()
    # Its parts are made at the first call, which must not be within a graph.
    model.dense_logits(np.zeros((1, size, size, 3), "float32"))
    with progress_bar("token labels") as progress:
        card = write_token_labels(
            out,
            pictures,
            lambda images: dense.predict_on_batch(model.prepare(images)),
            size,
            classifier.name,
            progress,
        )
    report = {"out": out, **card, "written": [str(out)], "skipped": skipped}
    give_report(report, as_json, _tell)


def _resized(model, teacher, image_size):
    if not hasattr(model, "with_size"):
        raise ValueError(
            f"{teacher} takes pictures of {model.input_shape[1]} pixels. Received: --image-size "
            f"{image_size}"
        )
    return model.with_size(image_size)


def _check_classes(classifier, class_names):
    """The labels must number classes as the training data do."""
    number = classifier.model.output_shape[-1]
    if number != len(class_names):
        raise ValueError(
            f"The teacher {classifier.name} knows {number} classes, the data have "
            f"{len(class_names)}."
        )
    if classifier.class_names not in (None, class_names):
        other = next(
            (mine, theirs)
            for mine, theirs in zip(class_names, classifier.class_names, strict=True)
            if mine != theirs
        )
        raise ValueError(
            f"The teacher {classifier.name} knows other classes: the data say {other[0]!r} where "
            f"it says {other[1]!r}."
        )


def _tell(report):
    rows, columns = report["grid"]
    typer.echo(
        f"Wrote {report['out']}: {rows} x {columns} labels for each of {report['pictures']} "
        f"pictures, by {report['teacher']} at {report['image_size']} pixels."
    )
