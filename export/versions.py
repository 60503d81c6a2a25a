"""Folders of servers: BASE/VERSION/saved_model.pb, as TensorFlow Serving reads them."""

import pathlib


def is_saved_model(folder: pathlib.Path) -> bool:
    """Whether a SavedModel stands in a folder."""
    return (folder / "saved_model.pb").is_file()


def versions(base: pathlib.Path) -> dict[int, pathlib.Path]:
    """The versions in a folder, by their number, the newest last.

    Args:
        base: a folder of numbered SavedModels, or one SavedModel, which is version 1 then.
    """
    if is_saved_model(base):
        return {1: base}
    if not base.is_dir():
        return {}
    found = {
        int(folder.name): folder
        for folder in base.iterdir()
        if folder.name.isascii() and folder.name.isdigit() and is_saved_model(folder)
    }
    return dict(sorted(found.items()))


def newest(base: str | pathlib.Path) -> tuple[int, pathlib.Path]:
    """Number and folder of the newest version.

    Raises:
        ValueError: if there is none.
    """
    base = pathlib.Path(base)
    found = versions(base)
    if not found:
        raise ValueError(
            f"There is no SavedModel in {str(base)!r}: neither saved_model.pb nor a numbered "
            "folder with one."
        )
    return list(found.items())[-1]


def version_folder(
    base: str | pathlib.Path, version: int | None = None, overwrite: bool = False
) -> pathlib.Path:
    """Where a new version is to be written.

    Args:
        base: the folder of all versions.
        version: 1 or more; the one after the newest by default.
        overwrite: the version may be there.

    Raises:
        ValueError: if `base` is itself a SavedModel, the version is below 1, or is there.
    """
    base = pathlib.Path(base)
    if is_saved_model(base):
        raise ValueError(f"{str(base)!r} is a SavedModel itself, not a folder of versions.")
    version = max(versions(base), default=0) + 1 if version is None else version
    if version < 1:
        raise ValueError(f"`version` must be at least 1. Received: version={version}")
    folder = base / str(version)
    if folder.exists() and not overwrite:
        raise ValueError(
            f"{str(folder)!r} exists; give --overwrite to replace it, or no version for the next. "
            "Servers do not notice that a version changed."
        )
    return folder
