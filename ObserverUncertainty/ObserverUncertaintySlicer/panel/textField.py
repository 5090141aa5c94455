"""A field for a name: what is being typed there is not overwritten by what the panel knows."""

from __future__ import annotations

from collections.abc import Callable


class TextField:
    """A QLineEdit whose text is taken when the user is done with it.

    Args:
        edit: the QLineEdit.
        changed: is given the text, without blanks around it, when the user is done.
    """

    def __init__(self, edit, changed: Callable[[str], None]) -> None:
        self._edit, self._changed = edit, changed
        edit.connect("editingFinished()", self.take)

    @property
    def text(self) -> str:
        """What the field shows, without blanks around it."""
        return self._edit.text.strip()

    def show(self, text: str) -> None:
        """Show another text, unless the user is typing one: a job's progress alone updates the panel meanwhile."""
        if not self._edit.modified and self._edit.text != text:
            self._edit.text = text

    def take(self) -> None:
        """Take what the user typed; before a click counts on it, since not every system's buttons take the focus."""
        self._edit.modified = False
        self._changed(self.text)
