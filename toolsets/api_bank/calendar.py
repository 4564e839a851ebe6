"""Agenda, alarms, meetings and reminders of users."""

from __future__ import annotations

from typing import Any

from deepagent.toolsets.api_bank.state import Tables, api, moment, refuse, user_of


def _row(tables: Tables, table: str, user: str, **wanted: str) -> str | None:
    """The number of the user's first row with one of these values; the first name counts most."""
    own = {number: row for number, row in tables[table].items() if row["username"] == user}
    for field, value in wanted.items():
        for number, row in own.items():
            if value and str(row[field]).strip().lower() == value.strip().lower():
                return str(number)
    return None


def _required(value: str, what: str) -> None:
    if not value.strip():
        raise refuse(f"{what} should not be null")


@api("AddAgenda")
def add_agenda(tables: Tables, token: str, content: str, time: str, location: str) -> str:
    """A new item."""
    _required(content, "Content")
    moment(time)
    tables.add("Agenda", {"content": content, "time": time, "location": location, "username": user_of(tables, token)})
    return "success"


def _agenda(tables: Tables, token: str, content: str, time: str, kind: str) -> str:
    if time.strip():
        moment(time)
    found = _row(tables, "Agenda", user_of(tables, token), content=content, time=time)
    if found is not None:
        return found
    raise refuse(f"You have no {kind} about {content}" if content else f"You have no {kind} at time : {time}")


@api("DeleteAgenda")
def delete_agenda(tables: Tables, token: str, content: str, time: str, location: str) -> str:
    """Remove an item."""
    del tables["Agenda"][_agenda(tables, token, content, time, "meeting")]
    return "success"


@api("ModifyAgenda")
def modify_agenda(tables: Tables, token: str, content: str, time: str, location: str) -> str:
    """Another time and place for an item."""
    row = tables["Agenda"][_agenda(tables, token, content, time, "agenda")]
    row.update(content=content or row["content"], time=time, location=location)
    return "success"


@api("QueryAgenda")
def query_agenda(tables: Tables, token: str, content: str, time: str, location: str) -> Any:
    """An item."""
    return tables["Agenda"][_agenda(tables, token, content, time, "agenda")]


@api("AddAlarm")
def add_alarm(tables: Tables, token: str, time: str) -> str:
    """A new alarm."""
    moment(time)
    tables.add("Alarm", {"time": time, "username": user_of(tables, token)})
    return "success"


def _alarm(tables: Tables, token: str, time: str, kind: str) -> str:
    moment(time)
    found = _row(tables, "Alarm", user_of(tables, token), time=time)
    if found is None:
        raise refuse(f"You have no {kind} at time : {time}")
    return found


@api("DeleteAlarm")
def delete_alarm(tables: Tables, token: str, time: str) -> str:
    """Remove an alarm."""
    del tables["Alarm"][_alarm(tables, token, time, "alarm clock")]
    return "success"


@api("ModifyAlarm")
def modify_alarm(tables: Tables, token: str, from_time: str, to_time: str) -> str:
    """Another time for an alarm."""
    moment(to_time)
    tables["Alarm"][_alarm(tables, token, from_time, "agenda")]["time"] = to_time
    return "success"


@api("QueryAlarm")
def query_alarm(tables: Tables, token: str, time: str) -> Any:
    """An alarm."""
    return tables["Alarm"][_alarm(tables, token, time, "alarm clock")]


@api("AddReminder")
def add_reminder(tables: Tables, token: str, content: str, time: str) -> str:
    """A new reminder."""
    _required(content, "Content")
    moment(time)
    tables.add("Reminder", {"content": content, "time": time, "username": user_of(tables, token)})
    return "success"


def _reminder(tables: Tables, token: str, content: str, time: str) -> str:
    _required(content, "Content")
    moment(time)
    found = _row(tables, "Reminder", user_of(tables, token), content=content, time=time)
    if found is None:
        raise refuse(f"You have no reminder about {content} or at time : {time}")
    return found


@api("DeleteReminder")
def delete_reminder(tables: Tables, token: str, content: str, time: str) -> str:
    """Remove a reminder."""
    del tables["Reminder"][_reminder(tables, token, content, time)]
    return "success"


@api("ModifyReminder")
def modify_reminder(tables: Tables, token: str, content: str, time: str) -> str:
    """Another time for a reminder."""
    tables["Reminder"][_reminder(tables, token, content, time)].update(content=content, time=time)
    return "success"


@api("QueryReminder")
def query_reminder(tables: Tables, token: str, content: str, time: str) -> Any:
    """A reminder."""
    return tables["Reminder"][_reminder(tables, token, content, time)]


@api("AddMeeting")
def add_meeting(
    tables: Tables, token: str, meeting_topic: str, start_time: str, end_time: str, location: str, attendees: list[str]
) -> str:
    """Reserve a meeting."""
    _required(meeting_topic, "Meeting Topic")
    moment(start_time)
    moment(end_time)
    user = user_of(tables, token)
    tables.add("Meeting", _meeting_row(meeting_topic, start_time, end_time, location, attendees, user))
    return "success"


def _meeting_row(
    topic: str, start: str, end: str, location: str, attendees: list[str], username: str
) -> dict[str, Any]:
    return {
        "meeting_topic": topic,
        "start_time": start,
        "end_time": end,
        "location": location,
        "attendees": attendees,
        "username": username,
    }


def _meeting(tables: Tables, token: str, topic: str, start: str) -> str:
    if not topic.strip() and not start.strip():
        raise refuse("Meeting Topic and start_time should not be null both")
    found = _row(tables, "Meeting", user_of(tables, token), meeting_topic=topic, start_time=start)
    if found is not None:
        return found
    raise refuse(f"You have no meeting about {topic}" if topic else f"You have no meeting at time : {start}")


@api("DeleteMeeting")
def delete_meeting(
    tables: Tables, token: str, meeting_topic: str, start_time: str, end_time: str, location: str, attendees: list[str]
) -> str:
    """Remove a meeting."""
    del tables["Meeting"][_meeting(tables, token, meeting_topic, start_time)]
    return "success"


@api("ModifyMeeting")
def modify_meeting(
    tables: Tables, token: str, meeting_topic: str, start_time: str, end_time: str, location: str, attendees: list[str]
) -> str:
    """Change a meeting."""
    number = _meeting(tables, token, meeting_topic, start_time)
    user = tables["Meeting"][number]["username"]
    tables["Meeting"][number] = _meeting_row(meeting_topic, start_time, end_time, location, attendees, user)
    return "success"


@api("QueryMeeting")
def query_meeting(
    tables: Tables, token: str, meeting_topic: str, start_time: str, end_time: str, location: str, attendees: list[str]
) -> Any:
    """A meeting."""
    return tables["Meeting"][_meeting(tables, token, meeting_topic, start_time)]
