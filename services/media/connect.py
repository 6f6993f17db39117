"""Which media store this installation has, and for whom."""

from typing import TYPE_CHECKING, cast

from services.config import Settings, settings
from services.database.connect import doors
from services.identity import Person
from services.media.door import Media
from services.media.folder import Folder

if TYPE_CHECKING:
    from services.database.cloud_doors import CloudDoors


def workers_media(options: Settings) -> Media:
    """All of the store, as the worker may use it."""
    return _hosted(None) if doors().hosted else Folder(options.media_folder)


def media_of(person: Person) -> Media:
    """The store as this person may use it; in a folder, whoever may read a row may read its file."""
    return _hosted(person) if doors().hosted else Folder(settings().media_folder)


def _hosted(person: Person | None) -> Media:
    from services.media.storage import storage  # noqa: PLC0415 - its client takes a second to import

    opened = cast("CloudDoors", doors())  # what `hosted` says
    if person is None:
        return storage(opened.url, opened.secret(), opened.http)
    token = person.token.get_secret_value() if person.token else None
    return storage(opened.url, opened.publishable_key, opened.http, token)
