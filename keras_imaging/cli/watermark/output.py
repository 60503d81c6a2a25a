"""Reports of `keras-imaging watermark`."""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from keras_imaging.watermark.photograph import Stamped, Verified
    from keras_imaging.watermark.report import DetectionReport

_NOT_VERIFIED = (
    "Not verified: manipulated, never stamped with this key, or processed beyond what the mark "
    "stands. These cannot be told apart."
)


def stamped_item(path: pathlib.Path, stamped: Stamped, nonce: bytes, quality: int) -> dict:
    """What became of one picture, for people and for machines."""
    lossless = stamped.picture.suffix.lower() == ".png"
    return {
        "input": path,
        "output": stamped.picture,
        "format": "PNG, lossless" if lossless else f"JPEG, quality {quality}",
        "regions": [
            {"region": name, "box": box}
            for name, box in zip(stamped.regions.names, stamped.regions.boxes, strict=True)
        ],
        "nonce": nonce.hex() or None,
        "matches": stamped.check.matches,
        "n": stamped.check.n,
        "reads_back": stamped.check.verified,
        "remark": stamped.regions.remark or None,
    }


def verified_item(path: pathlib.Path, found: Verified, remark: str) -> dict:
    """The verdict on one picture, for people and for machines."""
    result = found.result
    # A nonce that the registry does not know is no proof, however well it matches.
    verified = result.verified and not remark
    return {
        "picture": path,
        "verdict": "verified" if verified else "not verified",
        "matches": result.matches,
        "n": result.n,
        "threshold": result.threshold,
        "p_value": result.p_value,
        "candidates": result.candidates,
        "region": found.region,
        "box": found.box,
        "nonce": found.nonce.hex() or None,
        "remark": " ".join(filter(None, (remark, found.remark))) or None,
    }


def tell_stamped(report: dict) -> None:
    """A line for each stamped picture; remarks on stderr."""
    for item in report["written"]:
        where = ", ".join(region["region"] for region in item["regions"])
        typer.echo(
            f"Wrote {item['output']} ({item['format']}): {where} stamped for {report['identity']}; "
            f"{item['matches']} of {item['n']} bits read back."
        )
        if item["remark"]:
            typer.echo(f"  {item['remark']}", err=True)
        if not item["reads_back"]:
            typer.echo(
                "  The mark does not read back well enough to be verified. Try a larger --strength "
                "or --quality, or another region.",
                err=True,
            )


def tell_verified(report: dict) -> None:
    """A line for each verdict; remarks and errors on stderr."""
    for item in report["pictures"]:
        typer.echo(
            f"{item['picture']}: {item['verdict']}. {item['matches']} of {item['n']} bits match "
            f"{report['identity']}'s in {item['region']} ({item['threshold']} needed), "
            f"p = {item['p_value']:.2g}."
        )
        if item["remark"]:
            typer.echo(f"  {item['remark']}", err=True)
    if any(item["verdict"] == "not verified" for item in report["pictures"]):
        typer.echo(_NOT_VERIFIED)
    for name, reason in report.get("errors", {}).items():
        typer.echo(f"error: {_named(name, reason)}", err=True)


def _named(name, reason):
    """A reason that says of which file it speaks."""
    return reason if name in reason else f"{name}: {reason}"


def tell_report(result: DetectionReport) -> None:
    """A table of the sets and their groups."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(caption="verified: share of the pictures; AUC: benign against this set")
    table.add_column("set")
    labels = [f"verified at {alpha:g}" for alpha in result.thresholds]
    for label in ("pictures", "bit accuracy", *labels, "AUC"):
        table.add_column(label, justify="right")
    sets = {**result.benign, **result.malicious}
    if result.unmarked is not None:
        sets["unmarked"] = result.unmarked
    for name, scores in sets.items():
        auc = f"{result.auc[name]:.4f}" if name in result.auc else ""
        shares = (f"{share:.4f}" for share in scores.verified.values())
        table.add_row(escape(name), str(scores.images), f"{scores.bit_accuracy:.4f}", *shares, auc)
        for group, (accuracy, images) in scores.groups.items():
            blank = [""] * (len(scores.verified) + 1)
            table.add_row(f"  {escape(group)}", str(images), f"{accuracy:.4f}", *blank)
    Console().print(table)
