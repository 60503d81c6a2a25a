import csv
import json

import keras
import pytest

layers = keras.layers


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "networks"
    folder.mkdir()
    for width, depth in ((4, 2), (8, 2), (8, 4)):
        model = keras.Sequential([keras.Input((8, 8, 3))])
        for _ in range(depth):
            model.add(layers.Conv2D(width, 3, padding="same", activation="relu"))
        model.add(layers.GlobalAveragePooling2D())
        model.add(layers.Dense(10))
        model.save(folder / f"net_{width}_{depth}.keras")
    return folder


def test_one_network(run, folder, tmp_path):
    code, out, err = run("analyze", folder / "net_4_2.keras", "--plot", "blocks.png")
    assert code == 0, err
    assert "lower is better" in out and "lower bound" in out
    assert (tmp_path / "blocks.png").stat().st_size > 3000
    code, out, _ = run("analyze", "3072-8-16-32-64", "--weights", "minimum", "--json")
    report = json.loads(out)
    assert code == 0 and round(report["value"], 4) == 0.1023
    code, _, err = run("analyze", folder / "net_4_2.keras", "--plot", "blocks.png")
    assert code == 2 and "--overwrite" in err


def test_a_ranking(run, folder, tmp_path):
    rows = ("name,error", "net_4_2,0.5", "net_8_2,0.4", "net_8_4.keras,0.3")
    (tmp_path / "scores.csv").write_text("\n".join(rows))
    code, out, err = run(
        "analyze", folder, "--csv", "table.csv", "--plot", "scatter.png", "--scores", "scores.csv"
    )
    assert code == 0, err
    assert "F and score, spearman" in out and "parameters and score, kendall" in out
    rows = list(csv.DictReader((tmp_path / "table.csv").open()))
    values = [float(row["value"]) for row in rows]
    assert values == sorted(values) and len(rows) == 3
    assert {row["score"] for row in rows} == {"0.5", "0.4", "0.3"}
    assert (tmp_path / "scatter.png").stat().st_size > 5000
    assert not list(tmp_path.glob(".*part*"))


def test_what_cannot_be_scored(run, folder, tmp_path):
    (folder / "broken.keras").write_bytes(b"no model")
    code, out, err = run("analyze", folder, "--json", "--max-params", 1000)
    assert code == 1
    report = json.loads(out)
    assert len(report["ranking"]) == 2 and "broken.keras" in report["failures"]
    assert list(report["too_large"]) == ["net_8_4.keras"]
    code, _, err = run("analyze", folder, "--max-params", 10)
    assert code == 2 and "None of 4 candidates" in err
    (tmp_path / "scores.csv").write_text("net_4_2,0.5\n")
    code, _, err = run("analyze", folder, "--scores", "scores.csv")
    assert code == 2 and "has no row for broken.keras, net_8_2.keras" in err
    (tmp_path / "scores.csv").write_text("a,1\nnet_4_2,high\n")
    code, _, err = run("analyze", folder, "--scores", "scores.csv")
    assert code == 2 and "Row 2" in err
    code, _, err = run("analyze", "nothing_of_this_name")
    assert code == 2 and "There is no network" in err
    (tmp_path / "empty").mkdir()
    code, _, err = run("analyze", tmp_path / "empty")
    assert code == 2 and "There is no .keras file" in err
