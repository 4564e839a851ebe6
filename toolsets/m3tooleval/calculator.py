"""Arithmetic as text, evaluated without running it as Python."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import Any

_LONGEST = 500
_MOST_BITS = 10_000  # of a power; larger ones take for ever

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {ast.UAdd: operator.pos, ast.USub: operator.neg}


def evaluate(expression: str) -> float:
    """The value of an expression of numbers, brackets and + - * / // % **.

    Raises:
        ValueError: it is something else, or too large.
        ArithmeticError: it has no value.
    """
    if len(expression) > _LONGEST:
        raise ValueError("the expression is too long")
    try:
        return _value(ast.parse(expression.strip(), mode="eval").body)
    except (SyntaxError, RecursionError, MemoryError) as error:
        raise ValueError("no arithmetic expression") from error


def _value(node: ast.expr) -> float:
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return node.value  # type: ignore[return-value] # the line above
    if isinstance(node, ast.UnaryOp) and type(node.op) in _UNARY:
        result = _UNARY[type(node.op)](_value(node.operand))
    elif isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
        left, right = _value(node.left), _value(node.right)
        if isinstance(node.op, ast.Pow) and isinstance(left, int) and left.bit_length() * abs(right) > _MOST_BITS:
            raise ValueError("the power is too large")
        result = _BINARY[type(node.op)](left, right)
    else:
        raise ValueError("no arithmetic expression")
    if isinstance(result, complex):
        raise ValueError("the result is no real number")
    return result  # type: ignore[no-any-return] # int or float
