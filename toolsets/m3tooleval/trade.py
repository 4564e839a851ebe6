"""The family `trade_calculator`: prices, tariffs and exchange rates; its calculator is the web shop's too."""

from __future__ import annotations

from deepagent.toolsets.functions import tool
from deepagent.toolsets.m3tooleval.calculator import evaluate

_FAMILY = "trade_calculator"


@tool(effect="pure", toolset=_FAMILY)
def convert_currency(base_price: float, conversion_rate: float) -> float:
    """Converts a commodity's price to local currency."""
    return base_price * conversion_rate


@tool(effect="pure", toolset=_FAMILY)
def calculate_tariff(price: float, tariff_rate: float) -> float:
    """Calculates the trade tariff on a converted price.

    Args:
        price: the converted price.
        tariff_rate: in %.
    """
    return price * tariff_rate / 100


@tool(effect="pure", toolset=_FAMILY)
def estimate_final_value(price: float, tariff: float) -> float:
    """Estimates the final trade value, the tariff included."""
    return price + tariff


@tool(effect="pure", toolset=_FAMILY)
def calculator(expression: str) -> float | str:
    """Evaluates an arithmetic expression: "2 + (3 * 4)" gives 14."""
    try:
        return evaluate(expression)
    except (ValueError, ArithmeticError):
        return f"Failed to evaluate expression: {expression}"


@tool(effect="pure", toolset=_FAMILY)
def find_minimum(values: list[int | float]) -> float:
    """Finds the minimum of a list of values."""
    return min(values)


@tool(effect="pure", toolset=_FAMILY)
def find_maximum(values: list[int | float]) -> float:
    """Finds the maximum of a list of values."""
    return max(values)


TOOLS = (convert_currency, calculate_tariff, estimate_final_value, calculator, find_minimum, find_maximum)
