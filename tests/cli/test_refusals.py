"""What the arguments rule out is refused at once: nothing slow has been loaded by then."""

import json
import subprocess
import sys

CASES = [
    ("upscale nothing.png", "no file or folder 'nothing.png'"),
    ("upscale a.png --out nowhere/b.png", "no folder 'nowhere'"),
    ("upscale a.png --out b.txt", "ends with one of"),
    ("upscale a.png --out b.txt --weights rdidn_x2", "ends with one of"),
    ("upscale a.png", "'a_x2.png' exists; give --overwrite"),
    ("upscale a.png --weights none.keras", "no file 'none.keras'"),
    ("upscale a.png --tile 64 --out b.png", "greater than or equal to 65"),
    ("upscale --out b.txt", "ends with one of"),
    ("upscale empty", "is empty"),
    ("upscale album", "exists; give --overwrite"),
    ("inpaint nothing.png --box 1,1,1,1", "no file or folder"),
    ("inpaint a.png --mask none.png", "no file or folder 'none.png'"),
    ("inpaint a.png --box 1,1,1,1 --out nowhere/b.png", "no folder 'nowhere'"),
    ("inpaint a.png --box 1,1,1,1 --out b.txt", "ends with one of"),
    ("inpaint --out b.txt", "ends with one of"),
    ("inpaint a.png --box 1,1,1,1 --weights none.weights.h5", "no file"),
    ("denoise nothing.png", "no file or folder"),
    ("denoise a.png --sigma 0", "--sigma must be positive"),
    ("restore nothing.png --kernel box:3", "no file or folder"),
    ("restore a.png", "needs --kernel"),
    ("restore a.png --kernel none.npy", "no file 'none.npy'"),
    ("restore a.png --kernel box:3 --peak 3", "--peak is for --problem poisson"),
    ("restore a.png --problem inpaint --mask none.png", "no file or folder 'none.png'"),
    ("restore a.png --kernel box:3 --out b.txt", "ends with one of"),
    ("restore --out nowhere/b.png", "no folder 'nowhere'"),
    ("restore a.png --kernel box:3 --denoiser none.keras", "no file 'none.keras'"),
    ("sense nothing.png", "no file or folder"),
    ("sense a.png --out b.txt", "ends with one of"),
    ("sense a.png --solver fista --dictionary none.npy", "no file 'none.npy'"),
    ("sense --out nowhere/b.png", "no folder 'nowhere'"),
    ("recover none.npz", "no file 'none.npz'"),
    ("recover --matrix none.npy", "no file 'none.npy'"),
    ("recover --out b.txt", "ends with one of .npy, .npz"),
    ("evaluate sr --data nowhere", "no folder 'nowhere'"),
    ("evaluate sensing --data empty --weights none.keras", "no file 'none.keras'"),
    ("evaluate classification --data nowhere --weights x", "no file or folder 'nowhere'"),
    ("export --out a.png", "a.png' exists"),
    ("export --out b.txt", "ends with .tflite"),
    ("export --quantization int8 --calibration nowhere", "no folder 'nowhere'"),
    ("export --weights none.keras", "no file 'none.keras'"),
    ("serve nowhere", "no SavedModel"),
    ("watermark keygen me --out a.png", "exists; give --overwrite"),
    ("watermark embed a.png --key none.key", "Cannot read the key file 'none.key'"),
    ("watermark embed a.png --key key --out b.webp", "ends with one of .png, .jpg, .jpeg"),
    ("watermark embed a.png --key key --nonce xyz", "hexadecimal digits"),
    ("watermark embed a.png --key key --out b.png --box 1,2", "LEFT,TOP,RIGHT,BOTTOM"),
    ("watermark verify nothing.png --key key", "no file or folder"),
    ("watermark verify a.png --key none.key", "Cannot read the key file"),
    ("watermark report --benign nowhere", "no folder 'nowhere'"),
    ("train rdidn --data nowhere --out run", "no file or folder 'nowhere'"),
    ("train rdidn --data empty --out a.png", "a.png' is a file"),
    ("train lista --matrix none.npy --out run", "no file 'none.npy'"),
]

CODE = """
import contextlib, io, json, sys
from keras_imaging.cli.app import main
results = []
for line in json.load(sys.stdin):
    sys.argv = ["keras-imaging", *line.split()]
    err = io.StringIO()
    with contextlib.redirect_stderr(err), contextlib.redirect_stdout(io.StringIO()):
        try:
            main()
        except SystemExit as leaving:
            slow = sorted({"keras", "tensorflow", "jax"} & set(sys.modules))
            results.append((leaving.code, err.getvalue(), slow))
            assert not slow, (line, err.getvalue())
print(json.dumps(results))
"""


def test_nothing_slow_is_loaded_first(tmp_path):
    for name in ("a.png", "a_x2.png", "key"):
        (tmp_path / name).write_bytes(b"no picture")
    for name in ("empty", "album", "album_x2"):
        (tmp_path / name).mkdir()
    for name in ("album/a.png", "album_x2/a_x2.png"):
        (tmp_path / name).write_bytes(b"")
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        input=json.dumps([line for line, _ in CASES]),
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    for (line, reason), (code, err, _) in zip(CASES, json.loads(done.stdout), strict=True):
        assert code == 2, line
        assert err.startswith("error: ") and err.count("\n") == 1, (line, err)
        assert reason in err, (line, err)
