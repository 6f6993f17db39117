"""Make the first company with its first store and admin: `python -m services.first_admin --help`.

For installations on Supabase, where the app may not make people; it works on all others too.
"""

import argparse
import getpass
import sys
from collections.abc import Sequence

from services import identity, logs
from services.config import settings
from services.database.connect import process_doors
from services.errors import AppError, InvalidInput
from services.identity import NewCompany

FIELDS = {
    "company": "the company's name",
    "store": "its first store's name",
    "code": "the store's number, such as 001",
    "city": "the store's city",
    "timezone": "time zone of both, such as Europe/London",
    "name": "the admin's name",
    "email": "the admin's e-mail address",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when the company is made. The password is asked for, or read from standard input where that is no terminal."""
    given = vars(_parser().parse_args(arguments))
    try:
        logs.configure(settings().log_level)
        with process_doors():
            identity.create_company(NewCompany(**given, password=_password()), address=None)
    except AppError as exc:
        sys.stderr.write(f"{exc}\n")
        return 1
    sys.stdout.write(f"{given['company']} is ready. {given['email']} can sign in.\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m services.first_admin", description=__doc__)
    for name, meaning in FIELDS.items():
        parser.add_argument(f"--{name}", help=meaning, required=name != "city", default="")
    return parser


def _password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    typed = getpass.getpass("Password: ")
    if getpass.getpass("Once more: ") != typed:
        raise InvalidInput("The two passwords differ. Nothing was made.")
    return typed


if __name__ == "__main__":
    sys.exit(main())
