"""Step 1 of the panel as a user fills it, for the tests of its parts."""

from __future__ import annotations

from ObserverUncertaintySlicer import host, sampleData


def openPanel(application, moduleFile, folder, monkeypatch):
    """The panel with nothing installed, whose jobs and data lie in a folder."""
    monkeypatch.setenv(host.JOBS_VARIABLE, str(folder / "jobs"))
    monkeypatch.delenv(host.PYTHON_VARIABLE, raising=False)  # step 1 must work without anything installed
    monkeypatch.setattr(sampleData, "dataFolder", lambda: folder / "data")
    return application.openModule(moduleFile).panel


def add(section, volume, name=None):
    """Add a sequence as the user does."""
    section.ui.volumeSelector.setCurrentNode(volume)
    if name is not None:
        section.ui.nameCombo.setCurrentText(name)
    section.ui.addSequenceButton.click()


def addAllRaters(section, node):
    """Add raters as the user does."""
    section.ui.raterSelector.setCurrentNode(node)
    section.ui.addRatersButton.click()


def theMessage(application, *words):
    """The one message that was shown."""
    (message,) = application.dialogs.messages
    for word in words:
        assert word in message.text
    application.dialogs.messages.clear()
