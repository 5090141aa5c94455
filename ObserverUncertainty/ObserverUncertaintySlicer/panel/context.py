"""What a step of the panel knows of the panel, and all that it knows of it."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import slicer

from ObserverUncertaintyLib.base.errors import ObserverUncertaintyError
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.parameters import Parameters

if TYPE_CHECKING:
    from ObserverUncertaintySlicer.logic import LogicSteps
    from ObserverUncertaintySlicer.panel.polling import Follower


@dataclass(eq=False)
class Context:
    """Made by the panel and handed to every step.

    Attributes:
        logic: the module's logic.
        parameters: the parameter node's typed view; another one after the scene was closed.
        update: shows the parameters in every step.
        poll: follows work in the background from now on.
        jobsChanged: tells that a job was started, or has ended.
        isEntered: whether the module is the one that the user sees.
        isUpdating: whether widgets change because the parameters did, so that their signals mean nothing.
    """

    logic: LogicSteps
    parameters: Parameters
    update: Callable[[], None]
    poll: Callable[[Follower], None]
    jobsChanged: Callable[[], None]
    isEntered: bool = False
    isUpdating: bool = False

    @contextmanager
    def errorsShown(self) -> Iterator[None]:
        """Show what goes wrong at a click in one message: the library's errors as they are, others with their trace.

        What goes wrong without a click, such as with a job, is told in a label: the user may be drawing.
        """
        try:
            yield
        except ObserverUncertaintyError as error:
            slicer.util.errorDisplay(str(error))
        except Exception as error:
            logging.exception("ObserverUncertainty")
            text = _("Something went wrong that should not have: {error}\nThe details say where.").format(error=error)
            slicer.util.errorDisplay(text, detailedText=traceback.format_exc())

    def keep(self, name: str, meaning: Callable[[Any], Any] = lambda shown: shown) -> Callable[[Any], None]:
        """A slot that keeps what a widget shows as a parameter.

        Args:
            name: of the parameter.
            meaning: turns what the widget's signal brings into the parameter's value.
        """

        def keepShown(shown: Any) -> None:
            if not self.isUpdating:
                setattr(self.parameters, name, meaning(shown))

        return keepShown
