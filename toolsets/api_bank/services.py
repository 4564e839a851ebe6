"""Hospital, hotel and smart home."""

from __future__ import annotations

import hashlib
from typing import Any

from deepagent.toolsets.api_bank.state import Tables, api, day, moment, refuse


@api("AppointmentRegistration")
def register_appointment(tables: Tables, patient_name: str, date: str, doctor_name: str) -> str:
    """An appointment. Returns its number."""
    if not patient_name or not doctor_name:
        raise refuse("Patient name or doctor name cannot be empty.")
    day(date)
    wanted = {"patient_name": patient_name, "date": date, "doctor_name": doctor_name}
    for row in tables["Appointments"].values():
        if row == wanted:
            raise refuse("This appointment has already been registered.")
        if (row["patient_name"], row["date"]) == (patient_name, date):
            raise refuse("This patient has already been registered in this day.")
    digest = hashlib.sha256("\n".join(wanted.values()).encode()).hexdigest()
    number = str(10_000_000 + int(digest, 16) % 90_000_000)
    tables["Appointments"][number] = wanted
    return number


@api("CancelRegistration")
def cancel_registration(tables: Tables, appointment_id: str) -> str:
    """Cancel an appointment."""
    if tables["Appointments"].pop(appointment_id, None) is None:
        raise refuse("The appointment ID is incorrect.")
    return "success"


@api("ModifyRegistration")
def modify_registration(
    tables: Tables, appointment_id: str, new_appointment_date: str = "", new_appointment_doctor: str = ""
) -> str:
    """Another date or doctor for an appointment."""
    row = tables["Appointments"].get(appointment_id)
    if row is None:
        raise refuse("The appointment ID does not exist.")
    if not new_appointment_date and not new_appointment_doctor:
        raise refuse("Fail because no modification is made.")
    if new_appointment_date:
        day(new_appointment_date)
    if new_appointment_date == row["date"]:
        raise refuse("Fail because date is not changed.")
    if new_appointment_doctor == row["doctor_name"]:
        raise refuse("Fail because doctor is not changed.")
    row["date"] = new_appointment_date or row["date"]
    row["doctor_name"] = new_appointment_doctor or row["doctor_name"]
    return "success"


@api("QueryRegistration")
def query_registration(tables: Tables, patient_name: str, date: str) -> dict[str, Any]:
    """The appointments of a patient on a day, by number."""
    found = {
        number: row
        for number, row in tables["Appointments"].items()
        if row["patient_name"].lower() == patient_name.strip().lower() and row["date"] == date.strip()
    }
    if not found:
        raise refuse("No appointments found.")
    return found


@api("RecordHealthData")
def record_health_data(tables: Tables, user_id: str, time: str, health_data: list[Any] | None = None) -> str:
    """Keep measurements of a user."""
    if not user_id:
        raise refuse("The user id cannot be empty.")
    if not health_data:
        raise refuse("The health data cannot be empty.")
    moment(time)
    row: dict[str, Any] = {"time": time}
    for one in health_data:
        if not isinstance(one, dict) or not {"name", "value"} <= set(one):
            raise refuse("The health data has invalid format.")
        if one["name"] in row:
            raise refuse("The health data cannot contain duplicate items.")
        row[one["name"]] = one["value"]
    tables["HealthData"].setdefault(user_id.upper(), []).append(row)
    return "success"


@api("QueryHealthData")
def query_health_data(tables: Tables, user_id: str, start_time: str, end_time: str) -> list[Any]:
    """The measurements of a user between two times."""
    if not user_id:
        raise refuse("The user id cannot be empty.")
    if user_id.upper() not in tables["HealthData"]:
        raise refuse("The user id does not exist.")
    start, end = moment(start_time), moment(end_time)
    if start > end:
        raise refuse("The start time cannot be later than the end time.")
    found = [row for row in tables["HealthData"][user_id.upper()] if start <= moment(row["time"]) <= end]
    if not found:
        raise refuse("There is no health data in the given time span.")
    return found


@api("BookHotel")
def book_hotel(
    tables: Tables,
    hotel_name: str,
    check_in_time: str,
    check_out_time: str,
    room_count: int,
    adult_count: int,
    child_count: int,
) -> str:
    """Order rooms. Returns the number of the order."""
    start, end = day(check_in_time), day(check_out_time)
    for row in tables["Hotel"].values():
        same = row["hotel_name"].lower() == hotel_name.strip().lower()
        if same and start < day(row["check_out_time"]) and day(row["check_in_time"]) < end:
            raise refuse("The room is not available.")
    return tables.add(
        "Hotel",
        {
            "hotel_name": hotel_name,
            "check_in_time": check_in_time,
            "check_out_time": check_out_time,
            "room_count": max(room_count, 2) if adult_count > 2 else room_count,
            "adult_count": adult_count,
            "child_count": child_count,
        },
    )


@api("AddScene")
def add_scene(tables: Tables, name: str, devices: list[Any]) -> str:
    """A new scene of the smart home."""
    key = _scene(name)
    if key in tables["Scenes"]:
        raise refuse("Scene name already exists.")
    tables["Scenes"][key] = _devices(devices)
    return "success"


@api("ModifyScene")
def modify_scene(tables: Tables, name: str, devices: list[Any]) -> str:
    """Other devices for a scene."""
    key = _scene(name)
    if key not in tables["Scenes"]:
        raise refuse("The scene does not exist.")
    tables["Scenes"][key] = _devices(devices)
    return "success"


@api("DeleteScene")
def delete_scene(tables: Tables, name: str) -> str:
    """Remove a scene."""
    if tables["Scenes"].pop(_scene(name), None) is None:
        raise refuse("The scene does not exist.")
    return "success"


@api("QueryScene")
def query_scene(tables: Tables, name: str) -> Any:
    """The devices of a scene."""
    key = _scene(name)
    if key not in tables["Scenes"]:
        raise refuse("Scene not found.")
    return tables["Scenes"][key]


def _scene(name: str) -> str:
    if not name.strip():
        raise refuse("Scene name cannot be empty.")
    return name.strip().lower()


def _devices(devices: list[Any]) -> list[dict[str, Any]]:
    if not all(isinstance(one, dict) and {"name", "description"} <= set(one) for one in devices):
        raise refuse("Invalid device format.")
    names = [str(one["name"]).lower() for one in devices]
    if len(set(names)) < len(names):
        raise refuse("Device name cannot be duplicated.")
    return [dict(one) for one in devices]


@api("TimedSwitch")
def timed_switch(tables: Tables, name: str, time: str, on: bool) -> str:
    """Switch a device at a time."""
    if not name.strip():
        raise refuse("Name cannot be empty.")
    moment(time)
    tables["TimeSwitch"].setdefault(name.strip().lower(), []).append({"time": time, "on": on})
    return "success"


@api("CancelTimedSwitch")
def cancel_timed_switch(tables: Tables, name: str, time: str) -> str:
    """Cancel a timed switch."""
    if not name.strip():
        raise refuse("name cannot be empty.")
    key = name.strip().lower()
    if key not in tables["TimeSwitch"]:
        raise refuse("device name does not exist.")
    left = [row for row in tables["TimeSwitch"][key] if row["time"] != time]
    if len(left) == len(tables["TimeSwitch"][key]):
        raise refuse("time does not exist.")
    tables["TimeSwitch"][key] = left
    return "success"
