"""Detection report: rates of verified pictures and of false accepts."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from keras_imaging.watermark.statistics import DEFAULT_ALPHA, match_threshold, roc_curve


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
        thresholds: least number of matches that is verified, by alpha.
        benign: scores of each set that should be verified.
        malicious: scores of each set that should not, though the mark was there once.
        unmarked: scores of pictures never stamped, None without any; their share verified is the
            rate of false accepts.
        auc: area under the ROC curve of the matches of all benign pictures against those of each
            malicious set, and against `"unmarked"`.
    """

    message_length: int
    thresholds: dict[float, int]
    benign: dict[str, SetScores]
    malicious: dict[str, SetScores]
    unmarked: SetScores | None
    auc: dict[str, float]

    def to_dict(self) -> dict:
        """Plain dictionaries, for JSON."""
        return {
            "message_length": self.message_length,
            "thresholds": {f"{alpha:g}": least for alpha, least in self.thresholds.items()},
            "benign": {name: _plain(scores) for name, scores in self.benign.items()},
            "malicious": {name: _plain(scores) for name, scores in self.malicious.items()},
            "unmarked": None if self.unmarked is None else _plain(self.unmarked),
            "auc": self.auc,
        }


def detection_report(
    message_length: int,
    benign: Mapping[str, Sequence[int]],
    malicious: Mapping[str, Sequence[int]] | None = None,
    unmarked: Sequence[int] | None = None,
    alphas: Sequence[float] = (1e-3, DEFAULT_ALPHA),
    groups: Mapping[str, Sequence[str]] | None = None,
) -> DetectionReport:
    """Sum up the matches of many pictures.

    Args:
        message_length: bits, n.
        benign: matching bits (0..n) of each picture, by the name of its set, such as `"JPEG 75"`.
        malicious: the same for manipulated pictures, such as `"swap"`.
        unmarked: matching bits of pictures that were never stamped.
        alphas: false-accept rates to test at.
        groups: the group of each picture, by the name of its set (`"unmarked"` for those).

    Raises:
        ValueError: if a set is empty, a count is not in 0..n, groups are not as many as pictures,
            or an alpha is out of reach of n bits.

    Example:
        >>> report = detection_report(64, {"JPEG 75": [64, 63]}, {"swap": [30, 33]}, [32, 31])
        >>> report.auc
        {'swap': 1.0, 'unmarked': 1.0}
    """
    thresholds = {alpha: match_threshold(message_length, alpha) for alpha in alphas}
    groups = groups or {}

    def score(name, counts):
        return _scores(name, counts, message_length, thresholds, groups.get(name))

    if not benign:
        raise ValueError("Expected at least one set of benign pictures. Received: none")
    malicious = malicious or {}
    others = dict(malicious) if unmarked is None else {**malicious, "unmarked": unmarked}
    results = {name: score(name, counts) for name, counts in {**benign, **others}.items()}
    genuine = np.concatenate([np.asarray(counts) for counts in benign.values()])
    return DetectionReport(
        message_length=message_length,
        thresholds=thresholds,
        benign={name: results[name] for name in benign},
        malicious={name: results[name] for name in malicious},
        unmarked=results.get("unmarked") if unmarked is not None else None,
        auc={name: roc_curve(genuine, counts).auc for name, counts in others.items()},
    )


def _scores(name, counts, n, thresholds, groups):
    counts = np.asarray(counts)
    if counts.ndim != 1 or not counts.size or counts.min() < 0 or counts.max() > n:
        raise ValueError(
            f"Expected at least one number of matches in 0..{n} for the set {name!r}. "
            f"Received: {counts.tolist()}"
        )
    if groups is not None and len(groups) != len(counts):
        raise ValueError(
            f"Expected a group for each of the {len(counts)} pictures of {name!r}. "
            f"Received: {len(groups)}"
        )
    names = np.asarray(groups if groups is not None else [])
    return SetScores(
        images=len(counts),
        bit_accuracy=float(counts.mean() / n),
        verified={alpha: float((counts >= least).mean()) for alpha, least in thresholds.items()},
        groups={
            str(group): (float(counts[names == group].mean() / n), int((names == group).sum()))
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
