"""What became of each picture of a folder: Parquet files, written while the work goes on."""

import io
import json
import time
from collections.abc import Iterator

from keras_imaging.cli.folders.places import Folder

_KEY = b"keras_imaging"
_ROWS = 1000
_SECONDS = 10.0


class Manifest:
    """A table of pictures: `name`, `target`, `state` ("done" or "failed"), `why`, `report` (JSON).

    Its files are numbered. Where a picture stands in several rows, the last one counts.

    Args:
        folder: of the Parquet files; need not be there.
        settings: with which the pictures are made; kept with each file.

    Raises:
        ValueError: if what is there was made with other settings.
    """

    def __init__(self, folder: Folder, settings: dict[str, object]):
        self.folder = folder
        self._settings = json.dumps(settings, sort_keys=True, default=str)
        self._rows, self._written = [], time.monotonic()
        self._parts = []
        if folder.exists():
            self._parts = [name for name in folder.names() if name.endswith(".parquet")]
        if self._parts:
            self._check()

    def clear(self) -> None:
        """Forget all."""
        for name in self._parts:
            self.folder.remove(name)
        self._parts = []

    @property
    def begun(self) -> bool:
        """Whether anything is in it."""
        return bool(self._parts or self._rows)

    def states(self) -> dict[str, str]:
        """Why each picture failed, by its name; empty of those that are done."""
        states = {}
        for rows in self._tables(["name", "why"]):
            states.update(zip(rows["name"], rows["why"], strict=True))
        return states

    def reports(self) -> Iterator[dict]:
        """Of the pictures that are done, in the order of their names."""
        latest = {}
        for rows in self._tables(["name", "report"]):
            latest.update(zip(rows["name"], rows["report"], strict=True))
        return (json.loads(latest[name]) for name in sorted(latest) if latest[name])

    def add(self, name: str, target: str, why: str, report: str) -> None:
        """A row, which is written within ten seconds, or a thousand rows, or by `flush`."""
        self._rows.append((name, target, "failed" if why else "done", why, report))
        if len(self._rows) >= _ROWS or time.monotonic() - self._written > _SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write the rows that are not yet."""
        if not self._rows:
            return
        import pyarrow as pa
        from pyarrow import parquet

        columns = zip(*self._rows, strict=True)
        names = ("name", "target", "state", "why", "report")
        schema = pa.schema([(name, pa.string()) for name in names], {_KEY: self._settings.encode()})
        table = pa.table([pa.array(c, pa.string()) for c in columns], schema=schema)
        content = io.BytesIO()
        parquet.write_table(table, content)
        self.folder.make()
        number = 1 + max((int(name.split(".")[0]) for name in self._parts), default=0)
        self.folder.write(f"{number:08}.parquet", content.getvalue())
        self._parts.append(f"{number:08}.parquet")
        self._rows, self._written = [], time.monotonic()

    def _tables(self, columns):
        from pyarrow import parquet

        self.flush()
        for name in self._parts:
            content = io.BytesIO(self.folder.read(name))
            yield parquet.read_table(content, columns=columns).to_pydict()

    def _check(self):
        from pyarrow import parquet

        schema = parquet.read_schema(io.BytesIO(self.folder.read(self._parts[-1])))
        before = (schema.metadata or {}).get(_KEY, b"").decode()
        if before != self._settings:
            raise ValueError(
                f"{self.folder} is of other settings: {before or 'none that are known'}. Now: "
                f"{self._settings}. Go on with those, give another --out and --manifest, or "
                "--overwrite to begin anew."
            )
