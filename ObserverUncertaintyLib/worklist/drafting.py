"""A worklist's manifest: which sequences it asks for, which cases it has, and what an earlier one said that stays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.cohort.manifest import Manifest
from ObserverUncertaintyLib.cohort.sources import IN_SOURCES, Sources
from ObserverUncertaintyLib.worklist.found_cases import IMAGE, RATER, FoundCase
from ObserverUncertaintyLib.worklist.settings import WorklistSettings

MANIFEST_FILE, SOURCES_FILE = "cohort.toml", "sources.json"

_USUAL_SHARE = 0.5
"""A sequence that fewer of the cases have is not asked of all of them."""


class Drafting:
    """Decides which sequences the manifest asks for and which cases it has.

    Attributes:
        why_not: the found cases that are not in the manifest, with the reason.
        notes: what is told of the whole.
    """

    def __init__(
        self,
        named: Mapping[str, FoundCase],
        known: Mapping[str, FoundCase],
        settings: WorklistSettings,
        old: tuple[Manifest, Sources] | None,
        not_used: str,
    ) -> None:
        self._named, self._known, self._settings, self._old = named, known, settings, old
        self._not_used = not_used
        self.why_not: dict[str, str] = {}
        self.notes: list[str] = []

    def manifest(self, out: Path) -> Manifest:
        """The manifest; raises InputError if no case is complete."""
        settings, old = self._settings, None if self._old is None else self._old[0]
        images = self._images()
        mine = [sequence for sequence, pattern in images.items() if pattern == IN_SOURCES]
        cases = [name for name, case in self._named.items() if self._is_wanted(name, case, mine)]
        if not cases or not images:
            found = Counter(sequence for case in self._named.values() for sequence in case.names(IMAGE))
            raise InputError(
                f"No case has all of {', '.join(images) or 'the sequences'}; found were "
                f"{', '.join(f'{name} in {count}' for name, count in found.items()) or 'no sequences'}, in "
                f"{len(self._named)} cases. Name sequences that are there, or change the rules. {self._not_used}"
            )
        drawn = dict.fromkeys(rater for name in cases for rater in self._named[name].names(RATER))
        raters = {} if old is None else {name: text for name, text in old.raters.items() if text != IN_SOURCES}
        before = [] if old is None else [name for name, text in old.raters.items() if text == IN_SOURCES]
        gone = [name for name in before if name not in drawn]
        if gone:
            self.notes.append(f"no contour of {', '.join(gone)} was found; no longer among the raters")
        order = [*(name for name in before if name in drawn), *(name for name in sorted(drawn) if name not in before)]
        raters = {**dict.fromkeys((name for name in order if name not in raters), IN_SOURCES), **raters}
        sources = Sources(out / SOURCES_FILE, out, {})
        if old is not None:
            reference = old.reference if old.reference in images else None
            return replace(old, images=images, raters=raters, cases=tuple(cases), reference=reference, sources=sources)
        label = settings.label or (settings.structures[0] if settings.structures else "structure")
        return Manifest(
            out / MANIFEST_FILE, settings.name, out.resolve(), tuple(cases), label, images, raters, sources=sources
        )

    def _images(self) -> dict[str, str]:
        """The manifest's images, in the order of its channels."""
        found = Counter(sequence for case in self._named.values() for sequence in case.names(IMAGE))
        order = [*(name for name in self._settings.rules.order if name in found), *found]
        if self._settings.sequences:
            absent = [name for name in self._settings.sequences if name not in found]
            if absent:
                raise InputError(
                    f"No case has {', '.join(absent)}; found were {', '.join(dict.fromkeys(order)) or 'no sequences'}. "
                    "Name others, or change the rules."
                )
            others = {} if self._old is None else self._old[0].images
            others = {name: pattern for name, pattern in others.items() if pattern != IN_SOURCES}
            return {**dict.fromkeys(self._settings.sequences, IN_SOURCES), **others}
        images = dict.fromkeys((name for name in order if found[name] >= _USUAL_SHARE * len(self._named)), IN_SOURCES)
        if self._old is not None:
            images = self._old[0].images
        rare = [f"{name} (in {found[name]})" for name in dict.fromkeys(order) if name not in images]
        if rare:
            self.notes.append(f"found, and not asked of every case: {', '.join(rare)}")
        return images or dict.fromkeys(order, IN_SOURCES)

    def _is_wanted(self, name: str, case: FoundCase, images: Sequence[str]) -> bool:
        missing = [sequence for sequence in images if sequence not in case.names(IMAGE)]
        if missing:
            self.why_not[name] = f"no {', '.join(missing)}"
        elif self._was_taken_out(name):
            self.why_not[name] = "it was taken out of the manifest by hand"
        return name not in self.why_not

    def _was_taken_out(self, name: str) -> bool:
        """Whether somebody took a case out of a manifest that listed it, or would have."""
        if self._old is None or name not in self._known:
            return False
        manifest, sources = self._old
        was_complete = all(
            text != IN_SOURCES or sequence in self._known[name].names(IMAGE)
            for sequence, text in manifest.images.items()
        )
        return was_complete and bool(sources.cases[name].get("found", True)) and name not in manifest.case_names()
