from __future__ import annotations

import pytest
from mozdef_alerts.items import split_items


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("", []),
        (" , ,", []),
        ("ines joe\tjo", ["ines", "joe", "jo"]),
        ("db 1, db 2,,", ["db 1", "db 2"]),
        ("one", ["one"]),
        (["a, b", ""], ["a, b", ""]),
        (7, 7),
    ],
)
def test_a_text_is_split_at_commas_if_it_holds_one_and_else_at_blanks(text, items):
    assert split_items(text) == items
