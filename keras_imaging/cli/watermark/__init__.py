"""`keras-imaging watermark`: stamp portraits with a key, and verify pictures."""

import typer

from keras_imaging.cli.watermark.embed import embed_marks
from keras_imaging.cli.watermark.keygen import make_key
from keras_imaging.cli.watermark.report import score_folders
from keras_imaging.cli.watermark.verify import verify_marks
from keras_imaging.cli.watermark.web import serve_page

watermark = typer.Typer(
    help="Stamp portraits with a key, and verify pictures.", no_args_is_help=True
)
watermark.command("keygen")(make_key)
watermark.command("embed")(embed_marks)
watermark.command("verify")(verify_marks)
watermark.command("report")(score_folders)
watermark.command("web")(serve_page)
