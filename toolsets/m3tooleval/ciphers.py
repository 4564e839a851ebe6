"""The family `message_decoder`: ciphers."""

from __future__ import annotations

import string

from deepagent.toolsets.functions import tool

_FAMILY = "message_decoder"


@tool(effect="pure", toolset=_FAMILY)
def convert_hex_to_ascii(hex_string: str) -> str:
    """Converts a hexadecimal string to ASCII."""
    return bytes.fromhex(hex_string).decode()


@tool(effect="pure", toolset=_FAMILY)
def reverse_string(string: str) -> str:
    """Reverses a string."""
    return string[::-1]


@tool(effect="pure", toolset=_FAMILY)
def caesar_decode(message: str, shift: int) -> str:
    """Decodes a string using the Caesar cipher."""
    shift %= 26
    table: dict[int, int] = {}
    for letters in (string.ascii_lowercase, string.ascii_uppercase):
        table |= str.maketrans(letters, letters[-shift:] + letters[:-shift])
    return message.translate(table)


@tool(effect="pure", toolset=_FAMILY)
def string_length(string: str) -> int:
    """Finds the length of a string."""
    return len(string)


@tool(effect="pure", toolset=_FAMILY)
def minimum_value(values: list[int | float]) -> float:
    """Finds the minimum of a list of values."""
    return min(values)


@tool(effect="pure", toolset=_FAMILY)
def maximum_value(values: list[int | float]) -> float:
    """Finds the maximum of a list of values."""
    return max(values)


TOOLS = (convert_hex_to_ascii, reverse_string, caesar_decode, string_length, minimum_value, maximum_value)
