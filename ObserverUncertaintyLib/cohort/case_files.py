"""The files of one case, each of which is one thing to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.formats.references import Source

REVIEWED_BY = "reviewed by "
"""Before a reviewer's name among the raters. Reviewers draw in the cases that they corrected, and in no other."""


@dataclass(frozen=True)
class CaseFiles:
    """The files of one case: sequence and rater names to file references (`file`, `file#segment` or a folder)."""

    name: str
    images: dict[str, str]
    raters: dict[str, str]
    missing_raters: tuple[str, ...] = ()
    truth: str | None = None

    def by_role(self) -> dict[str, str]:
        """Every file reference by what it is to the case, such as "image T1", "rater anna" or "truth"."""
        images = {f"image {name}": file for name, file in self.images.items()}
        raters = {f"rater {name}": file for name, file in self.raters.items()}
        return {**images, **raters, **({} if self.truth is None else {"truth": self.truth})}


def refuse_shared_files(case: str, roles: Mapping[str, str | Path]) -> None:
    """Refuse one file that is two things to a case, known by the file itself and not by its name.

    Args:
        case: the case's name, for the text.
        roles: file references by what they are to the case, such as "rater anna".

    Raises:
        InputError: two roles have the same file, or the same segment of one.
    """
    sources = {role: Source.of(file) for role, file in roles.items()}
    for (role, file), (other_role, other_file) in combinations(roles.items(), 2):
        if sources[role].overlaps(sources[other_role]):
            where = str(file) if str(file) == str(other_file) else f"{file} and {other_file}, which are one file"
            raise InputError(
                f"{case}: {role} and {other_role} are the same file: {where}. Each needs a file of its own; correct "
                "the one that was copied, or leave it out."
            )
