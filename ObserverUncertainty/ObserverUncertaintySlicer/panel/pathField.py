"""A field for a path: what it shows is what counts, also when it is empty or impossible."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ObserverUncertaintySlicer.host import tr as _


class PathField:
    """A ctkPathLineEdit whose text is taken when the user is done with it.

    The widget's own signal comes at every key, and only for a text that its filter accepts: neither for an emptied
    field nor for a file of another kind.

    Args:
        widget: the ctkPathLineEdit.
        changed: is given the path when it is another one, without blanks around it.
    """

    def __init__(self, widget, changed: Callable[[str], None]) -> None:
        self._widget, self._changed = widget, changed
        self._edit = widget.comboBox().lineEdit()
        self._edit.setValidator(None)  # with one, Qt does not tell of the end of what it does not accept
        self._taken = self.text
        self._edit.connect("textChanged(QString)", self._onTextChanged)
        self._edit.connect("editingFinished()", self.take)

    @property
    def text(self) -> str:
        """What the field shows, without blanks around it."""
        return self._widget.currentPath.strip()

    def show(self, path: str) -> None:
        """Show another path, unless the user is typing one."""
        if not self._edit.modified and not _areTheSame(path, self.text):
            self._taken = path
            self._widget.currentPath = path

    def take(self) -> None:
        """Take what the user typed; before a click counts on it, since not every system's buttons take the focus."""
        self._edit.modified = False
        if self.text != self._taken:
            self._taken = self.text
            self._changed(self.text)

    def _onTextChanged(self, _text: str) -> None:
        # The dialog, the completion and the history set a whole path; keys modify.
        if not self._edit.modified:
            self.take()


def whyNotFile(path: str, ending: str, choose: str) -> str:
    """Why a path cannot be used as an existing file; empty if it can.

    Args:
        path: what the field shows.
        ending: of the file's name, such as ".toml".
        choose: what to do, such as "Choose the cohort's manifest."
    """
    if not path:
        return choose
    if not path.lower().endswith(ending):
        return _("{path} is no {ending} file. {choose}").format(path=path, ending=ending, choose=choose)
    try:
        isThere = Path(path).is_absolute() and Path(path).is_file()
    except OSError as error:
        return _("{path} cannot be looked at: {error}. {choose}").format(path=path, error=error, choose=choose)
    return "" if isThere else _("There is no file {path}. {choose}").format(path=path, choose=choose)


def whyNotNewFolder(path: str, choose: str) -> str:
    """Why a path cannot be used as a folder that is made if it is not there; empty if it can."""
    if not path:
        return choose
    try:
        if not Path(path).is_absolute():
            return _("{path} is no whole path. {choose}").format(path=path, choose=choose)
        if Path(path).exists() and not Path(path).is_dir():
            return _("{path} is a file. {choose}").format(path=path, choose=choose)
    except OSError as error:
        return _("{path} cannot be looked at: {error}. {choose}").format(path=path, error=error, choose=choose)
    return ""


def _areTheSame(path: str, other: str) -> bool:
    """Whether two paths differ at most in their slashes, which the field and the system write differently."""
    return path == other or (bool(path) and bool(other) and Path(path) == Path(other))
