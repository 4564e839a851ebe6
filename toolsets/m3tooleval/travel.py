"""The family `travel_itinerary_planning`: flights and hotels of six cities."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from deepagent.tools import Tool
from deepagent.toolsets.functions import tool

_FAMILY = "travel_itinerary_planning"
_CITIES = tuple("ABCDEF")


def travel_tools(world: Iterable[dict[str, Any]]) -> tuple[Tool, ...]:
    """The tools over the tables of the world."""
    flights = [_without_kind(row) for row in world if row["kind"] == "flight"]
    hotels = [_without_kind(row) for row in world if row["kind"] == "hotel"]

    @tool(effect="pure", toolset=_FAMILY)
    def find_flights(from_location: str, to_location: str, date: str) -> list[dict[str, Any]]:
        """Finds flights: from_location, to_location, date and price of each.

        Args:
            from_location: a city.
            to_location: the destination.
            date: YYYY-MM-DD.
        """
        wanted = {"from_location": _city(from_location), "to_location": _city(to_location), "date": date}
        return [flight for flight in flights if wanted.items() <= flight.items()]

    @tool(effect="pure", toolset=_FAMILY)
    def book_hotel(location: str, preferences: list[str] | None = None) -> list[dict[str, Any]]:
        """Finds hotels: location, preferences, price_per_night and rating of each.

        Args:
            location: a city.
            preferences: what a hotel must have, such as wifi, pool or gym.
        """
        here = [hotel for hotel in hotels if hotel["location"] == _city(location)]
        return [hotel for hotel in here if set(preferences or ()) <= set(hotel["preferences"])]

    return (find_flights, book_hotel, budget_calculator, _max, _min, _sum)


@tool(effect="pure", toolset=_FAMILY)
def budget_calculator(flight_price: float, hotel_price_per_night: float, num_nights: int) -> float:
    """Calculates the total budget of a trip."""
    return flight_price + hotel_price_per_night * num_nights


@tool(name="max", effect="pure", toolset=_FAMILY)
def _max(values: list[int | float]) -> float:
    """Finds the maximum of a list of values."""
    return max(values)


@tool(name="min", effect="pure", toolset=_FAMILY)
def _min(values: list[int | float]) -> float:
    """Finds the minimum of a list of values."""
    return min(values)


@tool(name="sum", effect="pure", toolset=_FAMILY)
def _sum(values: list[int | float]) -> float:
    """Sums a list of values."""
    return sum(values)


def _city(given: str) -> str:
    """The instructions put cities in quotes."""
    city = given.replace('"', "")
    if city not in _CITIES:
        raise ValueError(f"unknown location {given!r}; supported are {', '.join(_CITIES)}")
    return city


def _without_kind(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != "kind"}
