"""What Slicer's extension catalogue asks of a repository, and what the wheel and the extension must share."""

import fnmatch
import importlib.util
import re
import subprocess
import tomllib
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import cmake_lists
import numpy as np
import pytest
from matplotlib.image import imread

from ObserverUncertaintyLib.base import version

ROOT = cmake_lists.ROOT
CATALOGUE_ICON = ROOT / "Resources/ObserverUncertainty.png"
MODULE_ICON = ROOT / "ObserverUncertainty/Resources/Icons/ObserverUncertainty.png"
SCREENSHOTS = ROOT / "Resources/Screenshots"
LARGEST_REPOSITORY = 100 * 1024**2


def picture(path: Path) -> np.ndarray:
    assert path.read_bytes().startswith(b"\x89PNG\r\n"), f"{path} is not a PNG file"
    return imread(path)


def metadata(name: str) -> str:
    text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    found = re.findall(rf'^set\(EXTENSION_{name} "([^"\n]*)"\)$', text, re.MULTILINE)
    assert len(found) == 1, f"EXTENSION_{name} is not set on one line of CMakeLists.txt"
    return found[0]


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_the_version_stands_in_one_place_and_others_agree():
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## \[([0-9.]+)\]|this will be ([0-9.]+)\.$", changelog, re.MULTILINE)

    assert project()["project"]["dynamic"] == ["version"]
    assert project()["tool"]["setuptools"]["dynamic"]["version"] == {"attr": f"{version.__name__}.VERSION"}
    assert re.findall(r"^version: (.*)$", citation, re.MULTILINE) == [version.VERSION]
    assert "".join(versions[0]) == version.VERSION


@pytest.mark.parametrize("path", [CATALOGUE_ICON, MODULE_ICON], ids=["catalogue", "module"])
def test_the_icon_is_a_png_of_128_by_128_with_clear_corners(path):
    icon = picture(path)

    assert icon.shape == (128, 128, 4)
    assert icon[[0, 0, -1, -1], [0, -1, 0, -1], 3].max() == 0
    assert icon[64, 64, 3] == 1


@pytest.mark.parametrize("path", [CATALOGUE_ICON, MODULE_ICON], ids=["catalogue", "module"])
def test_the_icon_is_what_its_script_draws(path):
    spec = importlib.util.spec_from_file_location("make_icon", ROOT / "Resources/make_icon.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)

    # Releases of matplotlib may smooth an edge in another way.
    assert np.abs(script.draw_icon() / 255 - picture(path)).mean() < 0.01


def test_the_icon_tells_three_raters_apart_at_16_pixels():
    icon = picture(CATALOGUE_ICON)
    small = icon.reshape(16, 8, 16, 8, 4).mean(axis=(1, 3))[..., :3].reshape(-1, 3)

    red, green, blue = small.T
    greenish = (green > red + 0.2) & (green > blue + 0.1)
    bluish = (blue > red + 0.2) & (blue > green + 0.1)
    halo = (red > green + 0.25) & (red > blue + 0.25)
    light = small.min(axis=1) > 0.5
    counts = {"green": greenish.sum(), "blue": bluish.sum(), "halo": halo.sum(), "light": light.sum()}
    assert min(counts.values()) >= 2, counts


def test_there_is_a_screenshot_of_the_compare_layout():
    assert (SCREENSHOTS / "compare.png").is_file()


def test_every_screenshot_is_a_png_large_enough_to_be_read():
    for path in SCREENSHOTS.glob("*"):
        height, width = picture(path).shape[:2]
        assert (width >= 600, height >= 300) == (True, True), f"{path.name} is {width} x {height} pixels"


def test_the_licence_in_the_root_is_permissive_and_the_one_that_the_package_names():
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")

    assert "Apache License" in text
    assert "Version 2.0" in text
    assert project()["project"]["license"] == "Apache-2.0"


def test_the_readme_says_what_the_module_does_names_the_paper_and_that_it_is_no_medical_device():
    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    sentences = re.split(r"(?<=[.!?])\s", text)

    assert [s for s in sentences if "Slicer" in s and "module" in s and "not written yet" not in s]
    assert "10.1007/978-3-030-00928-1_77" in text
    assert "Research use only. Not a medical device." in text


def test_a_line_of_figures_stands_in_one_document():
    texts = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
    found: dict[tuple[str, ...], set[str]] = {}
    for text in texts:
        for line in text.read_text(encoding="utf-8").splitlines():
            figures = tuple(re.findall(r"\d+\.\d{2,}", line))
            if len(figures) >= 3:
                found.setdefault(figures, set()).add(text.name)

    assert found
    assert {figures: names for figures, names in found.items() if len(names) > 1} == {}


def test_every_link_between_documents_leads_to_a_file_and_a_heading():
    texts = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "Testing").rglob("*.md")]
    broken = []
    for text in texts:
        for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", text.read_text(encoding="utf-8")):
            name, _, heading = link.partition("#")
            target = text.parent / name if name else text
            if not target.exists() or (heading and heading not in headings(target)):
                broken.append(f"{text.relative_to(ROOT)}: {link}")
    assert broken == []


def headings(text: Path) -> set[str]:
    """What links to the headings of a document end with."""
    titles = re.findall(r"^#+ (.*)$", text.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_file_that_a_document_names_is_there():
    texts = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "Testing").rglob("*.md")]
    roots = (ROOT, ROOT / cmake_lists.LIBRARY, ROOT / cmake_lists.MODULE / "ObserverUncertaintySlicer")
    named = {
        f"{text.relative_to(ROOT)}: {name}": any((root / name).exists() for root in (*roots, text.parent))
        for text in texts
        for name in re.findall(r"(?<![\w./])((?:[\w-]+/)+[\w-]+\.py)\b", text.read_text(encoding="utf-8"))
    }
    assert named
    # A name in capitals stands for one that the reader chooses.
    assert [name for name, exists in named.items() if not exists and "NAME" not in name] == []


def test_the_repository_with_its_history_is_under_100_mb():
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: its history cannot be measured")
    counted = subprocess.run(
        ["git", "count-objects", "-v"], cwd=ROOT, capture_output=True, text=True, encoding="utf-8", check=True
    )
    kibibytes = dict(line.split(": ") for line in counted.stdout.splitlines())
    tracked = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, encoding="utf-8", check=True
    )
    files = [ROOT / name for name in tracked.stdout.split("\0") if name]

    history = 1024 * (int(kibibytes["size"]) + int(kibibytes["size-pack"]))
    assert history + sum(path.stat().st_size for path in files if path.is_file()) < LARGEST_REPOSITORY


def test_the_extension_depends_on_the_pytorch_extension_and_stands_under_segmentation():
    assert metadata("DEPENDS") == "PyTorch"
    assert metadata("CATEGORY") == "Segmentation"


def test_addresses_of_the_extension_agree_with_the_packages_homepage():
    homepage = project()["project"].get("urls", {}).get("Homepage", "")

    assert metadata("HOMEPAGE") == homepage
    for name in ("ICONURL", "SCREENSHOTURLS"):
        addresses = metadata(name).split()
        assert bool(addresses) == bool(homepage), f"EXTENSION_{name} and the homepage are given together or not at all"
        assert all(address.startswith("https://") for address in addresses)


@pytest.mark.parametrize("name", ["CONTRIBUTORS", "DESCRIPTION"])
def test_texts_of_the_extension_have_no_semicolon_which_cmake_would_cut_them_at(name):
    assert metadata(name)
    assert ";" not in metadata(name)


def test_every_panel_file_has_a_mrml_widget_as_its_root():
    # Slicer hands the scene to a panel through the root's mrmlSceneChanged.
    files = sorted((ROOT / "ObserverUncertainty/Resources/UI").glob("*.ui"))
    roots = {path.name: ElementTree.parse(path).getroot().find("widget").get("class") for path in files}

    assert roots
    assert {name: root for name, root in roots.items() if root != "qMRMLWidget"} == {}


def test_data_files_of_the_library_are_in_the_wheel_as_in_the_extension():
    patterns = project()["tool"]["setuptools"]["package-data"]["ObserverUncertaintyLib"]
    resources = cmake_lists.Tree(ROOT).to_install(cmake_lists.LIBRARY).resources

    assert resources
    assert [name for name in resources if not any(fnmatch.fnmatch(name, pattern) for pattern in patterns)] == []
