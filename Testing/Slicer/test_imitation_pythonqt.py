"""The imitation refuses what PythonQt would refuse, and Qt's objects look as PythonQt shows them."""

import numpy as np
import pytest


def test_a_property_is_an_attribute_and_cannot_be_called(qt):
    button = qt.QPushButton("Apply")
    assert button.text == "Apply"
    with pytest.raises(TypeError, match="'str' object is not callable"):
        button.text()


def test_the_object_name_is_also_the_name(qt):
    button = qt.QPushButton()
    button.name = "applyButton"
    assert button.objectName == "applyButton"
    assert button.className() == "QPushButton"


@pytest.mark.parametrize("name", ["txt", "_private", "setText2"])
def test_an_unknown_attribute_raises_when_read_and_when_set(qt, name):
    button = qt.QPushButton()
    with pytest.raises(AttributeError):
        getattr(button, name)
    with pytest.raises(AttributeError, match="creating new attributes"):
        setattr(button, name, 1)


def test_a_python_class_derived_from_qt_may_have_attributes_of_its_own(qt):
    class Table(qt.QTableWidget):
        pass

    table = Table()
    table.raters = 3
    table.rowCount = 2
    assert (table.raters, table.rowCount) == (3, 2)


@pytest.mark.parametrize(("name", "value"), [("enabled", "yes"), ("text", 5), ("minimumWidth", 1.5), ("checked", None)])
def test_a_property_of_another_type_raises(qt, name, value):
    with pytest.raises(ValueError, match=f"Property '{name}'"):
        setattr(qt.QPushButton(), name, value)


def test_numpy_integers_are_not_integers_to_pythonqt(qt):
    with pytest.raises(ValueError, match="int64"):
        qt.QSpinBox().value = np.int64(3)


def test_a_read_only_property_cannot_be_set(qt):
    with pytest.raises(AttributeError, match="not writable"):
        qt.QTimer().active = True


def test_a_signal_passes_the_arguments_of_its_signature(qt):
    button, seen = qt.QPushButton(), []
    button.checkable = True
    button.connect("clicked(bool)", seen.append)
    button.connect("clicked()", lambda *arguments: seen.append(arguments))
    button.click()
    assert seen == [True, ()]


@pytest.mark.parametrize("signature", ["clicked(int)", "clickd()", "text()"])
def test_a_wrong_signal_signature_raises(qt, signature):
    with pytest.raises(ValueError, match="does not exist"):
        qt.QPushButton().connect(signature, print)


def test_something_that_cannot_be_called_is_not_connected(qt):
    with pytest.raises(ValueError, match="not callable"):
        qt.QPushButton().connect("clicked()", None)


def test_disconnecting_undoes_one_connection(qt):
    button, seen = qt.QPushButton(), []
    button.connect("clicked()", seen.clear)
    function = lambda: seen.append(1)  # noqa: E731
    button.connect("clicked()", function)
    assert button.disconnect("clicked()", function)
    assert not button.disconnect("clicked()", function)
    button.click()
    assert seen == []


def test_blocked_signals_are_not_sent(qt):
    box, seen = qt.QSpinBox(), []
    box.connect("valueChanged(int)", seen.append)
    wasBlocked = box.blockSignals(True)
    box.value = 3
    box.blockSignals(wasBlocked)
    box.value = 4
    assert seen == [4]


def test_a_timer_runs_and_has_its_property_and_its_static_function(qt, slicerApplication):
    seen = []
    timer = qt.QTimer()
    timer.singleShot = True
    timer.connect("timeout()", lambda: seen.append("timer"))
    timer.start(0)
    qt.QTimer.singleShot(0, lambda: seen.append("function"))
    slicerApplication.processEvents()
    assert sorted(seen) == ["function", "timer"]
    assert not timer.active


def test_an_error_in_a_slot_is_kept_for_the_end_of_the_test(qt, slicerApplication):
    def fail():
        raise KeyError("lost")

    button = qt.QPushButton()
    button.connect("clicked()", fail)
    button.click()
    (error,) = slicerApplication.slotErrors
    assert isinstance(error, KeyError)
    slicerApplication.slotErrors.clear()
