"""What only answers: encyclopedia, stocks, history, recordings, music, mail, arithmetic."""

from __future__ import annotations

import ast
import operator
import re
from typing import Any

from deepagent.retrieval.lexical import LexicalIndex
from deepagent.toolsets.api_bank.state import Tables, api, day, moment, refuse

_OPERATORS: dict[type[ast.AST], Any] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
_RESULTS = 2


@api("Calculator")
@api("Calculator", level="3")
def calculator(tables: Tables, formula: str) -> float:
    """Arithmetic, of + - * / and brackets."""
    try:
        return float(_value(ast.parse(formula[:500].replace("=", "").strip(), mode="eval").body))
    except (ValueError, SyntaxError, ZeroDivisionError, OverflowError, RecursionError, MemoryError) as error:
        raise refuse("invalid formula") from error


def _value(node: ast.AST) -> Any:
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)) and not isinstance(node.value, bool):
        return node.value
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](_value(node.left), _value(node.right))
    if isinstance(node, ast.UnaryOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](_value(node.operand))
    raise ValueError("no arithmetic")


@api("GetToday")
def get_today(tables: Tables) -> str:
    """The day that it always is."""
    return "2023-03-31"


@api("Wiki")
def wiki(tables: Tables, keyword: str) -> Any:
    """An article."""
    return _entry(tables["Wiki"], keyword.strip().lower(), "Keyword not found.")


@api("QueryStock")
def query_stock(tables: Tables, stock_code: str, date: str) -> Any:
    """The price of a stock on a day."""
    if not stock_code.strip():
        raise refuse("The stock code cannot be empty.")
    prices = _entry(tables["Stock"], stock_code.strip().upper(), "The stock code does not exist.")
    return _entry(prices, day(date).strftime("%Y-%m-%d"), "The stock price of this date is not maintained.")


@api("QueryHistoryToday")
def query_history_today(tables: Tables, date: str) -> list[str]:
    """What happened on a day of the year."""
    events = _entry(tables["History"], date.strip(), "The date is not in the database.")
    return [", ".join(f"{name}: {value}" for name, value in one.items()) for one in events]


@api("SymptomSearch")
def symptom_search(tables: Tables, symptom: str) -> list[Any]:
    """Diseases that a symptom may come from."""
    if not symptom.strip():
        raise refuse("The symptom cannot be empty.")
    found = _entry(tables["Symptom"], symptom.strip().lower(), "The symptom does not exist.")
    return [{"name": one["name"], "description": one["description"]} for one in found]


@api("EmergencyKnowledge")
def emergency_knowledge(tables: Tables, symptom: str) -> list[Any]:
    """What helps against a symptom."""
    found = _entry(tables["Symptom"], symptom.strip().lower(), "The symptom does not exist.")
    return [{"name": one["name"], "aid": one["aid"]} for one in found]


@api("SearchEngine")
def search_engine(tables: Tables, keyword: str) -> list[Any]:
    """The two pages that fit best, by BM25 over title and abstract."""
    pages = tables["SearchEngine"]
    scores = LexicalIndex.of([f"{one['title']} {one['abstract']}" for one in pages]).scores([keyword])[0]
    return [pages[row] for row in (-scores).argsort(kind="stable")[:_RESULTS] if scores[row] > 0]


@api("DocumentQA")
def document_qa(tables: Tables, url: str, question: str) -> str:
    """The answer to a question about a document, for questions that its table spells without capital letters.

    So it is upstream, where hardly any question gets an answer; recorded calls say so.
    """
    if not question.strip():
        raise refuse("The question is empty.")
    known = _entry(tables["QuestionAnswering"], url.strip(), "The document of this url failed to be processed.")
    for one in known:
        if one["question"].strip() == question.strip().lower():
            return str(one["answer"])
    return "The question is too difficult to answer."


@api("ImageCaption")
def image_caption(tables: Tables, url: str) -> Any:
    """What a picture shows."""
    if not url.lower().endswith((".jpg", ".jpeg", ".png")):
        raise refuse("The url should end with .jpg, .jpeg or .png.")
    return _entry(tables["ImageCaptioning"], url.strip(), "The image of this url failed to be processed.")


@api("SpeechRecognition")
def speech_recognition(tables: Tables, url: str) -> Any:
    """What a recording says."""
    if not url.lower().endswith(".wav"):
        raise refuse("The url should end with .wav.")
    return _entry(tables["SpeechRecognition"], url.strip(), "The audio of this url failed to be processed.")


@api("PlayMusic")
def play_music(tables: Tables, music_name: str) -> str:
    """The address that plays a piece."""
    if not music_name.strip():
        raise refuse("The music name cannot be empty.")
    return f"music://{music_name.strip().lower()}"


@api("SendEmail")
def send_email(tables: Tables, receiver: str, subject: str, content: str) -> str:
    """Send a mail."""
    if not re.fullmatch(r"[\w.+-]{1,64}@[\w.-]{1,200}\.[A-Za-z]{2,20}", receiver.strip()):
        raise refuse("Email address of the receiver is invalid.")
    for value, name in ((subject, "Subject"), (content, "Content")):
        if not value.strip():
            raise refuse(f"{name} cannot be empty.")
    tables.add("Sent", {"receiver": receiver, "subject": subject, "content": content})
    return "success"


@api("EmailReminder", level="3")
def email_reminder(tables: Tables, content: str, time: str, location: str, recipient: str) -> str:
    """Send a mail about a meeting."""
    if not content.strip():
        raise refuse("Content should not be empty")
    moment(time)
    tables.add("Sent", {"receiver": recipient, "time": time, "location": location, "content": content})
    return "success"


@api("Dictionary")
def dictionary(tables: Tables, keyword: str) -> Any:
    """What a word means, as the service said when it was recorded."""
    return _recorded(tables, "Dictionary", {"keyword": keyword}, "Failed.")


@api("Translate")
def translate(tables: Tables, src: str, src_lang: str = "auto", tgt_lang: str = "en") -> Any:
    """A text in another language, as the service said when it was recorded."""
    return _recorded(tables, "Translate", {"src": src, "tgt_lang": tgt_lang}, "Language not supported.")


def _recorded(tables: Tables, name: str, wanted: dict[str, str], message: str) -> Any:
    for one in tables["Recorded"]:
        given = {"tgt_lang": "en", **one["input"]}
        if one["api"] == name and all(str(given.get(key)).lower() == value.lower() for key, value in wanted.items()):
            return one["output"]
    raise refuse(message)


def _entry(table: dict[str, Any], key: str, message: str) -> Any:
    if key not in table:
        raise refuse(message)
    return table[key]
