"""Which cases of a cohort were predicted and which were not, in a file that is whole while the job runs too."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.base.output_files import write_json
from ObserverUncertaintyLib.base.privacy import without_uids
from ObserverUncertaintyLib.jobs.folder import RESULT_FOLDER

OUTCOME_FILE = "outcome.json"


@dataclass(frozen=True)
class CohortOutcome:
    """What has become of a cohort's cases so far.

    Attributes:
        complete: the names of the cases whose predictions are on the disk.
        left_out: why a case could not be predicted, by its name.
    """

    complete: tuple[str, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)

    def of(self, case: str, why: str) -> CohortOutcome:
        """With a further case; `why` it is left out is empty for one that is complete."""
        if why:
            return CohortOutcome(self.complete, {**self.left_out, case: without_uids(why)})
        return CohortOutcome((*self.complete, case), self.left_out)

    def write(self, file: Path) -> None:
        """Write it; whoever reads at this moment finds the one before or this one."""
        write_json(file, asdict(self))

    @classmethod
    def read(cls, file: Path) -> CohortOutcome:
        """Read what `write` wrote; of no case yet where there is no file.

        Raises:
            InputError: the file holds something else.
        """
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            left_out = {str(case): str(why) for case, why in content["left_out"].items()}
            return cls(tuple(map(str, content["complete"])), left_out)
        except FileNotFoundError:
            return cls()
        except (AttributeError, KeyError, OSError, TypeError, ValueError) as error:
            raise InputError(
                f"{file} cannot be read ({error!r}); expected which cases were predicted. Look into the folder of the "
                "predictions for them."
            ) from error


def outcome_file(job_folder: Path) -> Path:
    """Where the job in a folder keeps its outcome."""
    return job_folder / RESULT_FOLDER / OUTCOME_FILE
