"""Commands that need raters' masks only: `fuse`, `disagreement` and `agreement`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.base.output_files import prepare_output_file
from ObserverUncertaintyLib.base.paths import expand_home
from ObserverUncertaintyLib.base.tables import aligned, number, without_nan
from ObserverUncertaintyLib.cli.console import ConsoleProgress, print_result
from ObserverUncertaintyLib.cli.options import Cases, Json, Masks, Overwrite, Resample, case_list, load_options, path
from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.cohort.cohort import Cohort
from ObserverUncertaintyLib.cohort.loading import MaskInterpolation
from ObserverUncertaintyLib.cohort.rater_files import load_raters
from ObserverUncertaintyLib.evaluation.agreement import (
    agreement_json,
    agreement_table,
    cohort_agreement,
    raters_agreement,
    write_agreement,
)
from ObserverUncertaintyLib.evaluation.tables import prepare_score_files
from ObserverUncertaintyLib.formats import write_image, write_mask
from ObserverUncertaintyLib.formats.marks import ResultKind
from ObserverUncertaintyLib.formats.references import split_reference
from ObserverUncertaintyLib.raters import fusion
from ObserverUncertaintyLib.scores import metrics
from ObserverUncertaintyLib.scores.entropy import expert_entropy

Raters = Annotated[
    list[str],
    typer.Argument(
        metavar="RATER...",
        parser=expand_home,
        help="Two masks or more on one grid (NIfTI, NRRD, MetaImage, DICOM SEG or RTSTRUCT). A .seg.nrrd or DICOM file "
        "with several segments is several raters; FILE#NAME picks one.",
    ),
]
Image = Annotated[
    str | None,
    typer.Option(
        parser=expand_home,
        help="The image that they drew on, such as the folder of a DICOM series; an RTSTRUCT needs it.",
    ),
]


def fuse(
    raters: Raters,
    method: Annotated[fusion.FusionMethod, typer.Option(help="How to fuse.", show_choices=True)],
    out: Annotated[
        Path, typer.Option(parser=path, help="The fused mask (uint8 0/1; float32 for mean), such as fused.nii.gz.")
    ],
    tie: Annotated[
        fusion.Tie, typer.Option(help="What majority makes of an even split of an even number of raters.")
    ] = fusion.Tie.BACKGROUND,
    staple_region: Annotated[
        fusion.StapleRegion,
        typer.Option(
            help="The voxels that STAPLE takes its prior and the raters' performance from: the box of the raters' "
            "union, or the whole image as SimpleITK's filter does."
        ),
    ] = fusion.StapleRegion.BOX,
    image: Image = None,
    resample: Resample = False,
    masks: Masks = MaskInterpolation.NEAREST,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Fuse several raters' masks of one structure into one.

    \b
    Example:
      observer-uncertainty fuse anna.nii.gz ben.nii.gz carl.nii.gz --method staple --out fused.nii.gz
    """  # noqa: D301
    if method is fusion.FusionMethod.NONE:
        raise InputError("--method none keeps the raters apart, so there is nothing to write. Give another method.")
    _prepare(out, raters, image, overwrite)
    case = _load(raters, image, resample, masks)
    performance = None
    if method is fusion.FusionMethod.STAPLE:
        performance = fusion.staple(case.raters, region=staple_region)
    fused = performance.segmentation if performance else fusion.fuse(case.raters, method, tie)
    if fused.dtype == bool:
        write_mask(out, fused, case.grid, kind=ResultKind.FUSED)
    else:
        write_image(out, fused, case.grid, kind=ResultKind.FUSED)
    rows = _rater_rows(case)
    if performance:
        for row, sensitivity, specificity in zip(rows, performance.sensitivity, performance.specificity, strict=True):
            row |= {"sensitivity": float(sensitivity), "specificity": float(specificity)}
    result = {
        "method": method.value,
        "out": str(out),
        "volume_ml": float(fused.sum(dtype=np.float64)) * case.grid.voxel_volume_ml,
        "raters": rows,
        "warnings": list(case.warnings),
        "notes": list(case.notes),
    }
    text = f"{_table(rows)}\n\n{method.value}: {result['volume_ml']:.2f} mL, written to {out}"
    print_result(without_nan(result), text, as_json)


def disagreement(
    raters: Raters,
    out: Annotated[
        Path, typer.Option(parser=path, help="The entropy map (float32, 0 to 1 bit), such as entropy.nii.gz.")
    ],
    image: Image = None,
    resample: Resample = False,
    masks: Masks = MaskInterpolation.NEAREST,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Map the inter-rater variability: the entropy of the raters' votes in bits, 0 (all agree) to 1 (an even split).

    \b
    Example:
      observer-uncertainty disagreement segmentation.seg.nrrd --out expert_entropy.nii.gz
    """  # noqa: D301
    _prepare(out, raters, image, overwrite)
    case = _load(raters, image, resample, masks)
    votes = fusion.Votes.of(case.raters)
    entropy = expert_entropy(votes)
    write_image(out, entropy.astype(np.float32), case.grid, kind=ResultKind.ENTROPY)
    pairs = metrics.pairwise_dice(votes)
    disputed = entropy > 0
    result = {
        "out": str(out),
        "raters": _rater_rows(case),
        "pairwise_dice": pairs.tolist(),
        "disputed_volume_ml": int(disputed.sum()) * case.grid.voxel_volume_ml,
        "mean_entropy": float(entropy.mean()),
        "mean_entropy_where_disputed": float(entropy[disputed].mean()) if disputed.any() else float("nan"),
        "unit": "bits, 0 to 1",
        "warnings": list(case.warnings),
        "notes": list(case.notes),
    }
    dice_rows = [[name, *(number(value) for value in row)] for name, row in zip(case.rater_names, pairs, strict=True)]
    text = (
        f"{_table(result['raters'])}\n\n{aligned(['Dice', *case.rater_names], dice_rows)}\n\n"
        f"disputed: {result['disputed_volume_ml']:.2f} mL, mean entropy there "
        f"{number(result['mean_entropy_where_disputed'])} bits; written to {out}"
    )
    print_result(without_nan(result), text, as_json)


def agreement(
    raters: Annotated[
        list[str],
        typer.Argument(
            metavar="MANIFEST | RATER...",
            parser=expand_home,
            help="A cohort's manifest (.toml), or the masks of one case, two or more, as for fuse.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(parser=path, help="The figures: FILE.csv or FILE.json; the other is written beside it."),
    ] = None,
    cases: Cases = None,
    image: Image = None,
    resample: Resample = False,
    masks: Masks = MaskInterpolation.NEAREST,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Measure how well raters agree, who draws larger, and whether there are enough of them; no model needed.

    Dice, surface Dice at 1 and 2 mm, 95 % Hausdorff and average surface distance, added path length, kappa,
    conformity index, intraclass correlation of the volumes; docs/method.md defines them.

    \b
    Example:
      observer-uncertainty agreement cohort.toml --out agreement.csv
    """  # noqa: D301
    is_cohort = len(raters) == 1 and raters[0].lower().endswith(".toml")
    if image is not None and is_cohort:
        raise InputError("--image belongs to the masks of one case; a manifest names its images. Leave it out.")
    if cases and not is_cohort:
        raise InputError("--cases chooses cases of a manifest; here masks of one case are given. Leave it out.")
    if out:
        prepare_score_files(out, overwrite=overwrite)
    with ConsoleProgress().running() as progress:
        if is_cohort:
            cohort = Cohort.open(Path(raters[0]), case_list(cases))
            found = cohort_agreement(cohort, load_options(resample, masks), progress)
        else:
            found = raters_agreement([_load(raters, image, resample, masks)])
    written = write_agreement(out, found) if out else ()
    text = agreement_table(found)
    if written:
        text += f"\n\nwritten to {written[0]} and {written[1]}"
    print_result(agreement_json(found), text, as_json)


def _prepare(out: Path, raters: list[str], image: str | None, overwrite: bool) -> None:
    inputs = {f"rater {number}": split_reference(file)[0] for number, file in enumerate(raters, 1)}
    if image is not None:
        inputs["image"] = split_reference(image)[0]
    prepare_output_file(out, overwrite=overwrite, inputs=inputs)


def _load(files: list[str], image: str | None, resample: bool, masks: MaskInterpolation) -> Case:
    case = load_raters(files, load_options(resample, masks), image)
    if len(case.rater_names) < 2:
        raise InputError(
            f"There is only one rater ({files[0]}); two or more are needed. Give further files, or a segmentation "
            "with several segments."
        )
    for text in (*case.notes, *(f"warning: {warning}" for warning in case.warnings)):
        typer.echo(text, err=True)
    return case


def _rater_rows(case: Case) -> list[dict[str, Any]]:
    return [
        {"name": name, "volume_ml": int(mask.sum()) * case.grid.voxel_volume_ml}
        for name, mask in zip(case.rater_names, case.raters, strict=True)
    ]


def _table(rows: list[dict[str, Any]]) -> str:
    columns = {"volume_ml": ("volume (mL)", 2), "sensitivity": ("sensitivity", 4), "specificity": ("specificity", 4)}
    shown = {key: column for key, column in columns.items() if key in rows[0]}
    header = ["rater", *(title for title, _ in shown.values())]
    return aligned(header, [[row["name"], *(number(row[key], d) for key, (_, d) in shown.items())] for row in rows])
