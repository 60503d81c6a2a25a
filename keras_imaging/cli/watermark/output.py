"""Reports of `keras-imaging watermark`."""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from keras_imaging.watermark.parts import Part
    from keras_imaging.watermark.photograph import Stamped, Verified
    from keras_imaging.watermark.report import DetectionReport

_NOT_VERIFIED = (
    "Not verified: manipulated, never stamped with this key, or processed beyond what the mark "
    "stands. These cannot be told apart."
)


def stamped_item(path: pathlib.Path, stamped: Stamped, quality: int) -> dict:
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
        "nonce": stamped.nonce.hex() or None,
        "weights": stamped.weights,
        "strength": stamped.strength,
        "matches": stamped.check.result.matches,
        "n": stamped.check.result.n,
        "p_value": stamped.check.result.p_value,
        "verified": stamped.check.result.verified,
        "verified_when_sent": bool(stamped.sent and stamped.sent.result.verified),
        "holds": stamped.holds,
        "remark": stamped.regions.remark or None,
    }


def verified_item(
    path: pathlib.Path,
    found: Verified,
    remark: str,
    verbose: bool = False,
    parts: dict[str, Part] | None = None,
) -> dict:
    """The verdict on one picture, for people and for machines; `verbose` says how it came about."""
    result = found.result
    # A nonce that the registry does not know is no proof, however well it matches.
    verified = result.verified and not remark
    item = {
        "picture": path,
        "verdict": "verified" if verified else "not verified",
        "region": found.region,
        "box": found.box,
        "weights": found.weights,
        "orientation": found.orientation or None,
        "nonce": found.nonce.hex() or None,
        "remark": " ".join(filter(None, (remark, found.remark))) or None,
    }
    if verified and parts is not None:
        item["parts"] = {name: part.word for name, part in parts.items()}
    if verbose:
        item.update(
            matches=result.matches,
            n=result.n,
            p_value=result.p_value,
            count_p_value=result.count_p_value,
            candidates=result.candidates,
        )
    return item


def tell_stamped(report: dict) -> None:
    """A line for each stamped picture; remarks on stderr."""
    for item in report["written"]:
        where = ", ".join(region["region"] for region in item["regions"])
        typer.echo(
            f"Wrote {item['output']} ({item['format']}): {where} stamped for {report['identity']} "
            f"with {item['weights']} at strength {item['strength']:.3g}."
        )
        if item["remark"]:
            typer.echo(f"  {item['remark']}", err=True)
        if not item["holds"]:
            where = "after JPEG 75 at half its size" if item["verified"] else "in this very file"
            typer.echo(
                f"  The mark is not verified {where}. A larger face holds it, or --faces none, "
                "--weights faceguard_nano, a higher --quality or --strength.",
                err=True,
            )


def tell_verified(report: dict) -> None:
    """A line for each verdict; remarks and errors on stderr."""
    for item in report["pictures"]:
        where = ""
        if item["verdict"] == "verified":
            where = f" {report['identity']}'s mark, in {item['region']}, by {item['weights']}"
            where += f"; the picture was {item['orientation']}." if item["orientation"] else "."
        lost = [name for name, word in item.get("parts", {}).items() if word == "no mark"]
        but = f", but no mark was read in: {', '.join(lost)}" if lost else ""
        typer.echo(f"{item['picture']}: {item['verdict']}{but}.{where}")
        if "matches" in item:
            typer.echo(
                f"  {item['matches']} of {item['n']} bits match; p = {item['p_value']:.2g}, by "
                f"counting alone {item['count_p_value']:.2g} ({item['candidates']} candidates)."
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
    labels = [f"verified at {alpha:g}" for alpha in result.alphas]
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
