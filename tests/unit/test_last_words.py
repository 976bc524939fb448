"""What a NOTIFICATION says, as people read it (RFC 9003)."""

import pytest

from ccn_bgp.session.last_words import LONGEST, communication, line


@pytest.mark.parametrize(
    ("notification", "text"),
    [
        ((6, 2, b""), ""),
        ((6, 2, b"\0"), ""),
        ((6, 2, b"\x06" + "нет".encode()), 'Shutdown Communication: "нет"'),
        ((6, 4, b"\x04b\nye"), 'Shutdown Communication: "b ye"'),
        ((6, 2, b"\xff" + b"a" * 255), f'Shutdown Communication: "{"a" * 255}"'),
        ((6, 2, b"\x03\xff\xfe\xfd"), 'Shutdown Communication: "\ufffd\ufffd\ufffd"'),
        ((6, 2, b"\x05\x1b[2J\x07"), 'Shutdown Communication: "[2J"'),
        ((6, 2, b"\x05abc"), "05616263"),  # shorter than it says
        ((6, 1, b"\x02ab"), "026162"),
        ((2, 7, bytes(40)), "00" * 32 + "…"),
    ],
)
def test_the_data_of_a_notification(notification, text):
    assert communication(*notification) == text


def test_a_line_is_one_line_of_bounded_length():
    assert line("a\r\nb\x00c\u2028d  e /") == "a b c d e"
    assert len(line("x" * 1000)) == LONGEST
