"""The APIs of level 3: small tables that several calls lead through."""

from __future__ import annotations

from typing import Any

from deepagent.toolsets.api_bank.state import Tables, api, day, moment, refuse


def _table(tables: Tables, name: str) -> Any:
    """A table of level 3; lists of pairs as a mapping."""
    found = tables[f"3:{name}"]
    if isinstance(found, list) and found and isinstance(found[0], dict) and set(found[0]) == {"key", "value"}:
        return {one["key"]: one["value"] for one in found}
    return found


def _entry(table: Any, key: Any, message: str) -> Any:
    if key not in table:
        raise refuse(message)
    return table[key]


def _account(tables: Tables, username: str, password: str) -> dict[str, Any]:
    for names, account in tables["3:AccountInfo"]:
        if names == [username, password]:
            found: dict[str, Any] = account
            return found
    raise refuse("User not found.")


@api("AccountInfo", level="3")
def account_info(tables: Tables, username: str, password: str) -> Any:
    """Mail and phone of a user."""
    return _account(tables, username, password)


@api("PersonalInfoUpdate", level="3")
def personal_info_update(tables: Tables, username: str, password: str, address: str) -> dict[str, str]:
    """Another address for a user."""
    _account(tables, username, password)["address"] = address
    return {"status": "success"}


@api("AddMeeting", level="3")
def add_meeting(
    tables: Tables, meeting_topic: str, start_time: str, end_time: str, location: str, attendees: list[str]
) -> str:
    """Reserve a meeting."""
    if not meeting_topic.strip():
        raise refuse("Meeting Topic should not be null")
    moment(start_time)
    moment(end_time)
    tables.add(
        "3:Meetings",
        {"topic": meeting_topic, "start": start_time, "end": end_time, "location": location, "attendees": attendees},
    )
    return "success"


@api("QueryMeeting", level="3")
def query_meeting(tables: Tables, user_name: str) -> dict[str, Any]:
    """The meetings of a user."""
    return {"meetings": _entry(_table(tables, "QueryMeeting"), user_name, "User not found.")}


@api("ClothingRecommendation", level="3")
def clothing_recommendation(
    tables: Tables, temperature: float, humidity: float, weather_conditions: str
) -> dict[str, Any]:
    """What to wear."""
    if temperature < 10:
        wear = ["Warm coat", "Hat", "Gloves"]
    elif temperature < 20:
        wear = ["Light jacket", "Long-sleeved shirt"]
    elif temperature < 30:
        wear = ["T-shirt", "Shorts"]
    else:
        wear = ["Sun hat", "Sunglasses", "Loose-fitting clothes"]
    wear += ["Umbrella", "Waterproof shoes"] if humidity > 70 else []
    wear += ["Raincoat"] if "rain" in weather_conditions.lower() else []
    return {"clothing_options": wear}


@api("FlightSearch", level="3")
def flight_search(tables: Tables, source: str, destination: str, travel_dates: str) -> dict[str, Any]:
    """Flights on a day."""
    date = day(travel_dates).date()
    flights = [
        one
        for one in _table(tables, "FlightSearch")
        if (one["source"], one["destination"]) == (source, destination) and moment(one["departure_date"]).date() == date
    ]
    return {"flights": flights}


@api("HotelAvailability", level="3")
def hotel_availability(tables: Tables, destination: str, check_in_date: str, check_out_date: str) -> dict[str, Any]:
    """Hotels for exactly these days."""
    wanted = (destination, day(check_in_date), day(check_out_date))
    hotels = []
    for one in _table(tables, "HotelAvailability").values():
        days = [moment(one[name]) for name in ("check_in_date", "check_out_date")]
        if (one["destination"], *days) == wanted:
            hotels.append({**one, "check_in_date": check_in_date, "check_out_date": check_out_date})
    return {"hotels": hotels}


@api("Geocoding", level="3")
def geocoding(tables: Tables, address: str) -> dict[str, float]:
    """Where a place is."""
    latitude, longitude = _entry(_table(tables, "Geocoding"), address, "The address is not in the database.")
    return {"latitude": latitude, "longitude": longitude}


@api("GetWeatherForCoordinates", level="3")
def get_weather(tables: Tables, latitude: float, longitude: float) -> Any:
    """The weather at a place."""
    for place, weather in _table(tables, "GetWeatherForCoordinates"):
        if place == [latitude, longitude]:
            return weather
    raise refuse("The coordinates are not in the database.")


@api("NearbyRestaurants", level="3")
def nearby_restaurants(tables: Tables, latitude: float, longitude: float, distance: float) -> dict[str, Any]:
    """All restaurants that there are: upstream does not measure distances."""
    return {"restaurants": _table(tables, "NearbyRestaurants")}


@api("GetOccupationSalary", level="3")
def get_occupation_salary(tables: Tables, occupation: str) -> dict[str, float]:
    """What an occupation pays."""
    known = _table(tables, "GetOccupationSalary")
    return {"salary": _entry(known, occupation, "The occupation is not in the database.")}


@api("TaxCalculator", level="3")
def tax_calculator(tables: Tables, salary: float) -> dict[str, float]:
    """What is left of a salary: the rate of its class applies to the whole, as upstream has it."""
    rates = [(key, rate) for key, rate in _table(tables, "TaxCalculator").items() if key != "inf" and salary >= key]
    rate = max(rates, default=(0, 0.0))[1]
    return {"salary_after_tax": salary - salary * rate}


@api("LikeCount", level="3")
def like_count(tables: Tables, post_id: int) -> dict[str, int]:
    """How many like a post."""
    return {"like_count": _entry(_table(tables, "LikeCount"), post_id, f"Post with ID {post_id} does not exist.")}


@api("UserPosts", level="3")
def user_posts(tables: Tables, user_id: int) -> dict[str, Any]:
    """The posts of a user."""
    return {"post_ids": _entry(_table(tables, "UserPosts"), user_id, "User not found.")}


@api("MovieRecommendations", level="3")
def movie_recommendations(tables: Tables, preferences: list[str]) -> dict[str, list[str]]:
    """Films of these kinds."""
    known = _table(tables, "MovieRecommendations")
    return {"recommended_movies": [film for kind in preferences for film in known.get(kind, [])]}


@api("UserMoviePreferences", level="3")
def user_movie_preferences(tables: Tables, user_name: str) -> dict[str, Any]:
    """The kinds of films that a user likes."""
    return {"preferences": _entry(_table(tables, "UserMoviePreferences"), user_name, "User not found.")}


@api("UserWatchedMovies", level="3")
def user_watched_movies(tables: Tables, user_name: str) -> Any:
    """The films that a user has seen."""
    return _entry(_table(tables, "UserWatchedMovies"), user_name, "User not found.")


@api("OrganizationMembers", level="3")
def organization_members(tables: Tables, organization: str) -> dict[str, Any]:
    """Who belongs to an organization."""
    return {"members": _entry(_table(tables, "OrganizationMembers"), organization, "Organization not found.")}


@api("TravelStatus", level="3")
def travel_status(tables: Tables, member_name: str) -> Any:
    """Where somebody is."""
    return _entry(_table(tables, "TravelStatus"), member_name, "Member not found.")
