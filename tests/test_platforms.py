"""The page of what passes on which Python and torch is that of the numbers which runs have written."""

import json

import pytest

from tests.platforms import NUMBERS, PAGE, main, page


def test_page_is_that_of_the_numbers():
    assert PAGE.read_text() == page(json.loads(NUMBERS.read_text()))


def test_page_shows_what_failed_what_took_too_long_and_what_did_not_run():
    text = page(
        {"3.12": {"test_a": {"passed": 3, "failed": 1}, "test_b": None}, "3.11": {"test_a": {"passed": 4, "failed": 0}}}
    )
    assert text.splitlines()[-4:] == [
        "| file | 3.11 | 3.12 |",
        "| --- | --- | --- |",
        "| `test_a` | 4 | 3 / 1 |",
        "| `test_b` | - | late |",
    ]


@pytest.mark.parametrize("words, status", [(["--help"], 0), (["test_that_is_not_there"], 2)])
def test_words_that_name_no_file_run_nothing(words, status):
    before = NUMBERS.read_bytes(), PAGE.read_bytes()
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == status and before == (NUMBERS.read_bytes(), PAGE.read_bytes())
