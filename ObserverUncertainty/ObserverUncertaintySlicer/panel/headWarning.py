"""The sentence that the case shows a head and the model knows brains only, for the steps in which the model is run."""

from __future__ import annotations

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintySlicer.headCheck import seemsAHead
from ObserverUncertaintySlicer.host import tr as _
from ObserverUncertaintySlicer.panel.contents import Key, volumeKey
from ObserverUncertaintySlicer.panel.context import Context
from ObserverUncertaintySlicer.panel.modelInUse import ModelInUse


class HeadWarning:
    """Looks at the images once; the answer holds as long as the images and the model are the same."""

    def __init__(self, context: Context, model: ModelInUse) -> None:
        self._context, self._model = context, model
        self._key: Key | None = None
        self._isHead = False

    def text(self) -> str:
        """What to do before the model runs; empty where it can run on the images as they are, or not at all."""
        card, sequences = self._model.card, self._context.parameters.sequences
        # Nothing is computed for a panel that nobody sees.
        if card is None or not sequences or self._model.missingSequences() or not self._context.isEntered:
            return ""
        key = (card.folder, card.description.weights_digest, *((n, *volumeKey(v)) for n, v in sequences.items()))
        if key != self._key:
            self._key = key
            try:
                self._isHead = seemsAHead(sequences, card.description)
            except InputError:  # what cannot be used is told where it is used
                self._isHead = False
        if not self._isHead:
            return ""
        return _(
            "⚠ The images do not seem to be skull-stripped, and the model knows brains only: extract the brain in "
            "step 1 first, or its contour may mean nothing."
        )
