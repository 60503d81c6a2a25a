"""Detection report: rates of verified pictures and of false accepts."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from keras_imaging.watermark.statistics import DEFAULT_ALPHA, MatchResult, roc_curve


class SetScores(NamedTuple):
    """Scores of one set of pictures.

    Attributes:
        images: how many.
        bit_accuracy: mean share of matching bits.
        verified: share of the pictures that is verified, by alpha.
        groups: mean share of matching bits and number of pictures, by group.
    """

    images: int
    bit_accuracy: float
    verified: dict[float, float]
    groups: dict[str, tuple[float, int]]


@dataclasses.dataclass(frozen=True)
class DetectionReport:
    """What `detection_report` found.

    Attributes:
        message_length: bits.
        alphas: false-accept rates that were tested at.
        benign: scores of each set that should be verified.
        malicious: scores of each set that should not, though the mark was there once.
        unmarked: scores of pictures never stamped, None without any; their share verified is the
            rate of false accepts.
        auc: area under the ROC curve of the p-values of all benign pictures against those of each
            malicious set, and against `"unmarked"`.
    """

    message_length: int
    alphas: tuple[float, ...]
    benign: dict[str, SetScores]
    malicious: dict[str, SetScores]
    unmarked: SetScores | None
    auc: dict[str, float]

    def to_dict(self) -> dict:
        """Plain dictionaries, for JSON."""
        return {
            "message_length": self.message_length,
            "alphas": list(self.alphas),
            "benign": {name: _plain(scores) for name, scores in self.benign.items()},
            "malicious": {name: _plain(scores) for name, scores in self.malicious.items()},
            "unmarked": None if self.unmarked is None else _plain(self.unmarked),
            "auc": self.auc,
        }


def detection_report(
    benign: Mapping[str, Sequence[MatchResult]],
    malicious: Mapping[str, Sequence[MatchResult]] | None = None,
    unmarked: Sequence[MatchResult] | None = None,
    alphas: Sequence[float] = (1e-3, DEFAULT_ALPHA),
    groups: Mapping[str, Sequence[str]] | None = None,
) -> DetectionReport:
    """Sum up the tests of many pictures.

    Args:
        benign: what `soft_test` or `verify_file` found in each picture, by the name of its set,
            such as `"JPEG 75"`.
        malicious: the same for manipulated pictures, such as `"swap"`.
        unmarked: the same for pictures that were never stamped.
        alphas: false-accept rates to test at, each between 0 and 1.
        groups: the group of each picture, by the name of its set (`"unmarked"` for those).

    Raises:
        ValueError: if a set is empty, messages are of different lengths, groups are not as many as
            pictures, or an alpha is out of its range.

    Example:
        >>> from keras_imaging.watermark import match_test
        >>> bits = np.ones(64, "uint8")
        >>> found, missed = match_test(bits, bits), match_test(bits * 0, bits)
        >>> detection_report({"JPEG 75": [found]}, {"swap": [missed]}).auc
        {'swap': 1.0}
    """
    if not all(0 < alpha < 1 for alpha in alphas):
        raise ValueError(f"`alphas` must be between 0 and 1. Received: {list(alphas)}")
    if not benign:
        raise ValueError("Expected at least one set of benign pictures. Received: none")
    groups = groups or {}
    malicious = malicious or {}
    others = dict(malicious) if unmarked is None else {**malicious, "unmarked": unmarked}
    sets = {**benign, **others}
    for name, results in sets.items():
        if not results:
            raise ValueError(f"Expected at least one picture in the set {name!r}. Received: none")
    lengths = sorted({result.n for results in sets.values() for result in results})
    if len(lengths) > 1:
        raise ValueError(f"Expected messages of one length. Received: {lengths} bits")
    scores = {
        name: _scores(name, results, tuple(alphas), groups.get(name))
        for name, results in sets.items()
    }
    genuine = [-result.p_value for results in benign.values() for result in results]
    return DetectionReport(
        message_length=lengths[0],
        alphas=tuple(alphas),
        benign={name: scores[name] for name in benign},
        malicious={name: scores[name] for name in malicious},
        unmarked=scores.get("unmarked") if unmarked is not None else None,
        auc={
            name: roc_curve(genuine, [-result.p_value for result in results]).auc
            for name, results in others.items()
        },
    )


def _scores(name, results, alphas, groups):
    if groups is not None and len(groups) != len(results):
        raise ValueError(
            f"Expected a group for each of the {len(results)} pictures of {name!r}. "
            f"Received: {len(groups)}"
        )
    accuracies = np.array([result.matches / result.n for result in results])
    p_values = np.array([result.p_value for result in results])
    names = np.asarray(groups if groups is not None else [])
    return SetScores(
        images=len(results),
        bit_accuracy=float(accuracies.mean()),
        verified={alpha: float((p_values <= alpha).mean()) for alpha in alphas},
        groups={
            str(group): (float(accuracies[names == group].mean()), int((names == group).sum()))
            for group in np.unique(names)
        },
    )


def _plain(scores):
    return {
        "images": scores.images,
        "bit_accuracy": scores.bit_accuracy,
        "verified": {f"{alpha:g}": share for alpha, share in scores.verified.items()},
        "groups": {
            name: {"bit_accuracy": accuracy, "images": images}
            for name, (accuracy, images) in scores.groups.items()
        },
    }
