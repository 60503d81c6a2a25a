"""FaceGuard on pictures: keys, marking and reading, the detection test, the registry.

The networks are `keras_imaging.models.FaceGuardEncoder` and `FaceGuardDecoder`.
"""

from keras_imaging.watermark.alignment import align
from keras_imaging.watermark.embedding import embed, extract
from keras_imaging.watermark.faces import find_faces
from keras_imaging.watermark.keys import (
    Key,
    fingerprint,
    generate_key,
    read_key,
    watermark_bits,
    write_key,
)
from keras_imaging.watermark.parts import face_parts
from keras_imaging.watermark.photograph import stamp_file, verify_file
from keras_imaging.watermark.region import Box
from keras_imaging.watermark.registry import Registry
from keras_imaging.watermark.report import DetectionReport, detection_report
from keras_imaging.watermark.statistics import (
    MatchResult,
    binomial_tail,
    match_test,
    match_threshold,
    miss_rate,
    roc_curve,
    soft_test,
)

__all__ = [
    "Box",
    "DetectionReport",
    "Key",
    "MatchResult",
    "Registry",
    "align",
    "binomial_tail",
    "detection_report",
    "embed",
    "extract",
    "face_parts",
    "find_faces",
    "fingerprint",
    "generate_key",
    "match_test",
    "match_threshold",
    "miss_rate",
    "read_key",
    "roc_curve",
    "soft_test",
    "stamp_file",
    "verify_file",
    "watermark_bits",
    "write_key",
]
