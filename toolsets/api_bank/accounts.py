"""Users, their tokens and their money."""

from __future__ import annotations

import hashlib
from typing import Any

from deepagent.toolsets.api_bank.state import Tables, api, refuse, user_of

_CODE = 970420
"""The verification code that is always sent."""


@api("GetUserToken")
def get_user_token(tables: Tables, username: str, password: str) -> dict[str, str]:
    """The token of a user."""
    account = tables["Account"].get(username)
    if account is None:
        raise refuse("The username does not exist.")
    if account["password"] != password:
        raise refuse("The password is incorrect.")
    return {"token": account["token"]}


@api("CheckToken")
def check_token(tables: Tables, token: str) -> str:
    """The user of a token."""
    return user_of(tables, token)


@api("RegisterUser")
def register_user(tables: Tables, username: str, password: str, email: str) -> dict[str, str]:
    """Open an account."""
    if username in tables["Account"]:
        raise refuse("The username already exists.")
    token = hashlib.sha256(f"{username}\n{password}\n{email}".encode()).hexdigest()[:32]
    tables["Account"][username] = {"password": password, "token": token, "email": email}
    return {"token": token}


@api("DeleteAccount")
def delete_account(tables: Tables, token: str) -> dict[str, str]:
    """Close an account."""
    del tables["Account"][user_of(tables, token)]
    return {"status": "success"}


@api("ModifyPassword")
def modify_password(tables: Tables, token: str, old_password: str, new_password: str) -> dict[str, str]:
    """Another password for an account."""
    account = tables["Account"][user_of(tables, token)]
    if account["password"] != old_password:
        raise refuse("The old password is incorrect.")
    account["password"] = new_password
    return {"status": "success"}


@api("ForgotPassword")
def forgot_password(
    tables: Tables,
    status: str,
    username: str = "",
    email: str = "",
    verification_code: int = 0,
    new_password: str = "",
) -> Any:
    """A new password by a code that is sent, in two calls."""
    asked = tables["Asked"]  # who was sent a code
    if status == "Forgot Password":
        if not username or not email:
            raise refuse("The username and email are required for the first call.")
        if username not in tables["Account"]:
            raise refuse("The username does not exist.")
        if tables["Account"][username]["email"] != email:
            raise refuse("The email is incorrect.")
        asked["user"] = username
        return _CODE
    if status != "Verification Code":
        raise refuse("The status is only 'Forgot Password' or 'Verification Code'.")
    if "user" not in asked:
        raise refuse("You need to call the API with status 'Forgot Password' at first.")
    if not new_password or not verification_code:
        raise refuse("The new password and verification code are required for the second call.")
    if str(verification_code) != str(_CODE):
        raise refuse("The verification code is incorrect.")
    tables["Account"][asked.pop("user")]["password"] = new_password
    return "success"


@api("QueryBalance")
def query_balance(tables: Tables, token: str) -> float:
    """What a user has at the bank."""
    name = user_of(tables, token)
    if name not in tables["Bank"]:
        raise refuse("The user does not have an account.")
    return float(tables["Bank"][name]["balance"])


@api("OpenBankAccount")
def open_bank_account(tables: Tables, account: str, password: str, name: str) -> str:
    """Open an account at the bank."""
    tables.add("Opened", {"account": account, "password": password, "name": name})
    return "success"
