"""A window with a text that can be read, selected and copied while work goes on."""

from __future__ import annotations

import qt

from ObserverUncertaintySlicer.host import tr as _


def showText(parent, title: str, text: str):
    """Open a window with a text; it does not block, and is deleted when it is closed. Returns the QDialog."""
    dialog = qt.QDialog(parent)
    dialog.setAttribute(qt.Qt.WA_DeleteOnClose)
    dialog.setWindowTitle(title)
    layout = qt.QVBoxLayout(dialog)
    view = qt.QPlainTextEdit()
    view.objectName = "textView"
    view.readOnly = True
    view.setPlainText(text)
    layout.addWidget(view)
    row = qt.QHBoxLayout()
    layout.addLayout(row)
    row.addStretch(1)
    copy = qt.QPushButton(_("Copy"))
    copy.objectName = "copyButton"
    copy.toolTip = _("Copy the whole text to the clipboard")
    copy.connect("clicked()", view.selectAll)
    copy.connect("clicked()", view.copy)
    row.addWidget(copy)
    close = qt.QPushButton(_("Close"))
    close.objectName = "closeButton"
    close.toolTip = _("Close this window")
    close.connect("clicked()", dialog.close)
    row.addWidget(close)
    dialog.resize(720, 480)
    dialog.show()
    return dialog
