"""Nothing in the tree cites what is not in it: no path of a file or folder, no dotted name of a module."""

from tests.citations import ROOT, missing, texts


def test_everything_cited_exists():
    wrong = [
        f"{path.relative_to(ROOT)}:{line} cites {citation}" for path in texts() for line, citation in missing(path)
    ]
    assert not wrong, "\n".join(wrong)
