"""Segmentation uncertainty that keeps the experts' disagreement.

The science of ObserverUncertainty: several raters' masks of one structure, ways to fuse them or not to, a dropout
U-Net, Monte Carlo inference and the entropies of both. Pure Python; knows neither Slicer nor Qt.

What most programs need has its name here: `import ObserverUncertaintyLib as ou; ou.expert_entropy(raters)`. A name is
imported when it is first used, so that this package alone loads nothing, and torch comes only with what computes a
network.

Source: Jungo et al., On the Effect of Inter-observer Variability for a Reliable Estimation of Uncertainty of Medical
Image Segmentation, MICCAI 2018.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ObserverUncertaintyLib.base.version import VERSION

if TYPE_CHECKING:
    from ObserverUncertaintyLib.base.errors import Cancelled as Cancelled
    from ObserverUncertaintyLib.base.errors import InputError as InputError
    from ObserverUncertaintyLib.base.errors import ObserverUncertaintyError as ObserverUncertaintyError
    from ObserverUncertaintyLib.base.progress import Progress as Progress
    from ObserverUncertaintyLib.cohort.case import Case as Case
    from ObserverUncertaintyLib.cohort.cohort import Cohort as Cohort
    from ObserverUncertaintyLib.cohort.joining import join_reviews as join_reviews
    from ObserverUncertaintyLib.cohort.loading import LoadOptions as LoadOptions
    from ObserverUncertaintyLib.cohort.loading import load_case as load_case
    from ObserverUncertaintyLib.cohort.rater_files import load_raters as load_raters
    from ObserverUncertaintyLib.cohort.reviews import read_reviews as read_reviews
    from ObserverUncertaintyLib.evaluation.agreement import cohort_agreement as cohort_agreement
    from ObserverUncertaintyLib.evaluation.calibrating import calibrate as calibrate
    from ObserverUncertaintyLib.evaluation.learning import learn_from_reviews as learn_from_reviews
    from ObserverUncertaintyLib.evaluation.scoring import evaluate as evaluate
    from ObserverUncertaintyLib.evaluation.scoring import score_case as score_case
    from ObserverUncertaintyLib.evaluation.two_models import compare_models as compare_models
    from ObserverUncertaintyLib.formats.prediction_samples import read_samples as read_samples
    from ObserverUncertaintyLib.images.grid import Grid as Grid
    from ObserverUncertaintyLib.model.description import read_description as read_description
    from ObserverUncertaintyLib.model.settings import LearningSettings as LearningSettings
    from ObserverUncertaintyLib.model.settings import PredictionSettings as PredictionSettings
    from ObserverUncertaintyLib.model.settings import TrainingSettings as TrainingSettings
    from ObserverUncertaintyLib.model.settings import UNetSettings as UNetSettings
    from ObserverUncertaintyLib.model.shipped import shipped_model as shipped_model
    from ObserverUncertaintyLib.network.stored import load_model as load_model
    from ObserverUncertaintyLib.prediction.folder import predict_cases as predict_cases
    from ObserverUncertaintyLib.prediction.imported import SampleFiles as SampleFiles
    from ObserverUncertaintyLib.prediction.imported import import_samples as import_samples
    from ObserverUncertaintyLib.prediction.inference import predict as predict
    from ObserverUncertaintyLib.prediction.maps import Prediction as Prediction
    from ObserverUncertaintyLib.prediction.maps import save_prediction as save_prediction
    from ObserverUncertaintyLib.raters.fusion import FusionMethod as FusionMethod
    from ObserverUncertaintyLib.raters.fusion import fuse as fuse
    from ObserverUncertaintyLib.raters.staple import staple as staple
    from ObserverUncertaintyLib.review.alternatives import alternatives as alternatives
    from ObserverUncertaintyLib.review.cases import cases_to_review as cases_to_review
    from ObserverUncertaintyLib.review.drawing import Drawing as Drawing
    from ObserverUncertaintyLib.review.places import places_to_review as places_to_review
    from ObserverUncertaintyLib.review.propagation import propagate as propagate
    from ObserverUncertaintyLib.review.quality import expected_dice as expected_dice
    from ObserverUncertaintyLib.review.slices import slices_to_edit as slices_to_edit
    from ObserverUncertaintyLib.scores.case_agreement import case_agreement as case_agreement
    from ObserverUncertaintyLib.scores.entropy import Uncertainty as Uncertainty
    from ObserverUncertaintyLib.scores.entropy import binary_entropy as binary_entropy
    from ObserverUncertaintyLib.scores.entropy import expert_entropy as expert_entropy
    from ObserverUncertaintyLib.scores.metrics import dice as dice
    from ObserverUncertaintyLib.scores.metrics import expected_calibration_error as expected_calibration_error
    from ObserverUncertaintyLib.scores.metrics import mean_entropy as mean_entropy
    from ObserverUncertaintyLib.scores.metrics import pairwise_dice as pairwise_dice
    from ObserverUncertaintyLib.scores.metrics import weighted_mean_entropy as weighted_mean_entropy
    from ObserverUncertaintyLib.scores.multi_rater_metrics import soft_dice as soft_dice
    from ObserverUncertaintyLib.training.train import train as train
    from ObserverUncertaintyLib.worklist.settings import WorklistSettings as WorklistSettings
    from ObserverUncertaintyLib.worklist.worklist import make_worklist as make_worklist

__version__ = VERSION

# Each name with the module that it is imported from; what type checkers see above says the same.
_HOMES = {
    "Cancelled": "base.errors",
    "Case": "cohort.case",
    "Cohort": "cohort.cohort",
    "Drawing": "review.drawing",
    "FusionMethod": "raters.fusion",
    "Grid": "images.grid",
    "InputError": "base.errors",
    "LearningSettings": "model.settings",
    "LoadOptions": "cohort.loading",
    "ObserverUncertaintyError": "base.errors",
    "Prediction": "prediction.maps",
    "PredictionSettings": "model.settings",
    "Progress": "base.progress",
    "SampleFiles": "prediction.imported",
    "TrainingSettings": "model.settings",
    "UNetSettings": "model.settings",
    "Uncertainty": "scores.entropy",
    "WorklistSettings": "worklist.settings",
    "alternatives": "review.alternatives",
    "binary_entropy": "scores.entropy",
    "calibrate": "evaluation.calibrating",
    "case_agreement": "scores.case_agreement",
    "cases_to_review": "review.cases",
    "cohort_agreement": "evaluation.agreement",
    "compare_models": "evaluation.two_models",
    "dice": "scores.metrics",
    "evaluate": "evaluation.scoring",
    "expected_calibration_error": "scores.metrics",
    "expected_dice": "review.quality",
    "expert_entropy": "scores.entropy",
    "fuse": "raters.fusion",
    "import_samples": "prediction.imported",
    "join_reviews": "cohort.joining",
    "learn_from_reviews": "evaluation.learning",
    "load_case": "cohort.loading",
    "load_model": "network.stored",
    "load_raters": "cohort.rater_files",
    "make_worklist": "worklist.worklist",
    "mean_entropy": "scores.metrics",
    "pairwise_dice": "scores.metrics",
    "places_to_review": "review.places",
    "predict": "prediction.inference",
    "predict_cases": "prediction.folder",
    "propagate": "review.propagation",
    "read_description": "model.description",
    "read_reviews": "cohort.reviews",
    "read_samples": "formats.prediction_samples",
    "save_prediction": "prediction.maps",
    "score_case": "evaluation.scoring",
    "shipped_model": "model.shipped",
    "slices_to_edit": "review.slices",
    "soft_dice": "scores.multi_rater_metrics",
    "staple": "raters.staple",
    "train": "training.train",
    "weighted_mean_entropy": "scores.metrics",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
