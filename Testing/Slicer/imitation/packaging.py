"""`slicer.packaging` (Slicer 5.12 and later): records what would be checked and installed, and installs nothing.

A test says with `satisfied` what is there; everything else is missing until `pip_ensure` or `pip_install` was called.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Record:
    """What was asked for in one test."""

    satisfied: set[str] = field(default_factory=set)
    ensured: list[dict] = field(default_factory=list)
    installed: list[dict] = field(default_factory=list)
    failure: Exception | None = None


record = Record()


def reset() -> Record:
    """Forgets everything."""
    global record
    record = Record()
    return record


def _each(requirements):
    return requirements.split() if isinstance(requirements, str) else [str(requirement) for requirement in requirements]


def pip_check(req):
    """Whether all requirements are there."""
    return all(requirement in record.satisfied for requirement in _each(req))


def pip_ensure(
    requirements,
    constraints=None,
    skip_packages=None,
    prompt_install=True,
    prompt_restart=True,
    requester=None,
    skip_in_testing=True,
    show_progress=True,
):
    """Records the call; afterwards the requirements are there."""
    record.ensured.append(dict(locals()))
    _install(requirements)


def pip_install(
    requirements,
    constraints=None,
    no_deps_requirements=None,
    skip_packages=None,
    blocking=True,
    show_progress=True,
    requester=None,
    logCallback=None,
    completedCallback=None,
):
    """Records the call; afterwards the requirements are there."""
    record.installed.append(dict(locals()))
    _install(requirements)


def _install(requirements):
    if record.failure is not None:
        raise record.failure
    record.satisfied.update(_each(requirements))
