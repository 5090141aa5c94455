"""A manifest as the text of a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ObserverUncertaintyLib.cohort.manifest import Manifest


def manifest_text(manifest: Manifest, *, root: Path | None = None, sources: str | None = None) -> str:
    """A manifest's text, without comments.

    Args:
        manifest: what the text says.
        root: what it gives as root; None leaves it out.
        sources: how it names its sources; the file's whole path if None.
    """
    if sources is None and manifest.sources is not None:
        sources = manifest.sources.path.absolute().as_posix()
    head: dict[str, Any] = {
        "name": manifest.name,
        "root": None if root is None else root.as_posix(),
        "sources": sources,
        "cases": manifest.cases if isinstance(manifest.cases, str) else list(manifest.cases),
        "label": manifest.label,
        "truth": manifest.truth,
        "reference": manifest.reference,
        "skull_stripped": manifest.skull_stripped,
        "simulated": manifest.simulated,
    }
    lines = []
    for table, content in {"cohort": head, "images": manifest.images, "raters": manifest.raters}.items():
        # JSON writes texts, lists of texts, true and false as TOML does.
        known = {key: json.dumps(value, ensure_ascii=False) for key, value in content.items() if value is not None}
        lines += [
            f"[{table}]",
            *(f"{json.dumps(key, ensure_ascii=False)} = {value}" for key, value in known.items()),
            "",
        ]
    return "\n".join(lines)
