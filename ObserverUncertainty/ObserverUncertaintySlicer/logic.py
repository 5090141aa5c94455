"""The logic: one method a step of the panel, with plain arguments, blocking or as a job in the background.

The steps' modules are imported when they are used: this file is loaded at every start of Slicer, whether the module is
opened or not.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from importlib import import_module
from inspect import Parameter
from types import MethodType
from typing import Any

_WAITING = """

The logic's method waits for the job and returns its result; with `wait=False` it returns the job."""


class _Step:
    """A function of this package as a method that has its signature and docstring.

    Args:
        module: of this package; imported when the method is asked for.
        function: its name there.
        isJob: whether it starts a job; the method then has an argument `wait` more.
    """

    def __init__(self, module: str, function: str, *, isJob: bool = False) -> None:
        self._module, self._function, self._isJob = module, function, isJob

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, logic: Any, owner: type | None = None) -> Any:
        function = getattr(import_module(f"ObserverUncertaintySlicer.{self._module}"), self._function)
        if self._isJob:
            function = _waiting(function)

        @wraps(function)
        def method(_logic: Any, *arguments: Any, **options: Any) -> Any:
            return function(*arguments, **options)

        signature = inspect.signature(function)
        own = Parameter("self", Parameter.POSITIONAL_OR_KEYWORD)
        method.__name__ = method.__qualname__ = self._name
        parameters = [own, *signature.parameters.values()]
        method.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        return method if logic is None else MethodType(method, logic)


def _waiting(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that starts a job, with `wait` as the last argument that can be given by its place."""
    signature = inspect.signature(function)
    parameters = list(signature.parameters.values())
    place = sum(parameter.kind is Parameter.POSITIONAL_OR_KEYWORD for parameter in parameters)
    parameters.insert(place, Parameter("wait", Parameter.POSITIONAL_OR_KEYWORD, default=True, annotation="bool"))
    signature = signature.replace(parameters=parameters, return_annotation=inspect.Signature.empty)

    @wraps(function)
    def waiting(*arguments: Any, **options: Any) -> Any:
        given = signature.bind(*arguments, **options)
        wait = given.arguments.pop("wait", True)
        job = function(*given.args, **given.kwargs)
        return job.result() if wait else job

    waiting.__signature__ = signature  # type: ignore[attr-defined]
    waiting.__doc__ = inspect.cleandoc(function.__doc__) + _WAITING
    return waiting


class LogicSteps:
    """What ObserverUncertaintyLogic can do; `help(ObserverUncertaintyLogic.predict)` tells of a method's arguments.

    `raters` is a list of (segmentation node, segment ID) or labelmap volume nodes, `sequences` a dict of sequence name
    to volume node. What takes long runs in another process: with `wait=True` the method returns its result, with
    `wait=False` a job with `.state`, `.cancel()` and `.result()`.

    Wrong input raises an InputError that names the node or file, says what was found, what was expected and what to do.
    """

    # Step 1: the case
    loadCaseFolder = _Step("caseLoading", "loadCaseFolder")
    loadManifestCase = _Step("caseLoading", "loadManifestCase")
    loadContours = _Step("contourFiles", "loadContours")
    loadSampleCase = _Step("sampleData", "sampleCase", isJob=True)
    registerSequences = _Step("registration", "registerSequences", isJob=True)
    extractBrain = _Step("brainExtraction", "extractBrain", isJob=True)
    # Step 2: disagreement
    fuseRaters = _Step("disagreement", "fuseRaters")
    expertEntropy = _Step("disagreement", "expertEntropy")
    raterAgreement = _Step("agreement", "raterAgreement")
    # Step 3: the model
    train = _Step("training", "trainModel", isJob=True)
    trainOnScene = _Step("training", "trainOnScene", isJob=True)
    # Step 4: uncertainty
    predict = _Step("prediction", "predictCase", isJob=True)
    importSamples = _Step("prediction", "importSamples", isJob=True)
    # Step 5: compare
    compare = _Step("compareViews", "compare")
    difference = _Step("disagreement", "differenceVolume")
    metrics = _Step("scores", "metricsTable")
    # Step 6: correct
    startCorrection = _Step("correction", "startCorrection")
    placesToReview = _Step("places", "placesToReview")
    propagateCorrection = _Step("contourReview", "propagateCorrection")
    saveAsReviewed = _Step("correction", "saveAsReviewed")
    exportReviewed = _Step("correctionExport", "exportReviewed")
    exportDicom = _Step("dicomExport", "exportDicom")
    startFurtherRater = _Step("furtherRater", "startFurtherRater")
    finishFurtherRater = _Step("furtherRater", "finishFurtherRater")
    # Step 6, case by case
    predictCases = _Step("predictionQueue", "predictCases", isJob=True)
    listCases = _Step("caseList", "listCases")
    openListedCase = _Step("caseList", "openListedCase")
    keepReview = _Step("caseList", "keepReview")
    learnFromReviews = _Step("learning", "learnFromReviews", isJob=True)
