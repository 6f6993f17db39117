"""A store that has covers drawn by a played Gemini, for a clip of its video project and for a podcast."""

from typing import Any, Self
from uuid import UUID, uuid4

from services import clips
from services.clips import Clip, Project
from services.database.door import Database
from services.scripts import covers, practice_pictures
from services.scripts.covers import Cover, Subject
from services.scripts.proposals import Proposal
from tests.fakes.gemini import Turn
from tests.scripts.newsroom import PRICES, Newsroom

DRAWER = "gemini-3.1-flash-image"
PROMPT = "A loaf of rye bread at dawn"
PNG = practice_pictures.png(PROMPT, "16:9")
DRAWN = Turn(pictures=(PNG,))


class Studio(Newsroom):
    clip: UUID
    episode: UUID  # of `podcast`
    podcast: UUID

    @classmethod
    def open(cls, *place: Any, **options: Any) -> Self:
        studio = super().open(*place, **options)
        world = studio.world
        for kind, usd in PRICES.items():
            world.price(studio.account, "gemini", DRAWER, usd, kind=kind, per=1_000_000)
        studio.clip = world.clip(studio.store, world.project(studio.store), name="Rye", width=1080, height=1920,
                                 thumbnail_path="thumbnails/film.jpg", media_type="video")  # fmt: skip
        studio.podcast = world.project(studio.store, "Oven talk")
        world.execute("update public.projects set kind = 'podcast' where id = %s", studio.podcast)
        studio.episode = world.clip(studio.store, studio.podcast, name="Episode 1", media_type="audio")
        return studio

    def on_clip(self, clip_id: UUID | None = None) -> Subject:
        return covers.of_clip(clips.get(self.door, clip_id or self.clip))

    def on_podcast(self) -> Subject:
        return covers.of_project(self.project(self.podcast))

    def project(self, project_id: UUID) -> Project:
        return next(one for one in clips.projects(self.door, self.store) if one.id == project_id)

    def row(self, clip_id: UUID | None = None) -> Clip:
        return clips.get(self.door, clip_id or self.clip)

    def cover(self, subject: Subject | None = None, made: UUID | None = None, **changes: Any) -> UUID:
        """Order one."""
        asked: dict[str, Any] = {"model": DRAWER, "prompt": PROMPT, "ratio": "16:9", **changes}
        door: Database = asked.pop("door", self.door)
        return covers.order(door, made or uuid4(), subject or self.on_clip(), **asked)

    def drawn(self, subject: Subject | None = None, **changes: Any) -> UUID:
        """Order one and have it drawn."""
        self.fake.say(DRAWN)
        made = self.cover(subject, **changes)
        assert self.work()["status"] == "completed"
        return made

    def proposal(self, cover_id: UUID) -> Proposal:
        return next(one for one in covers.find(self.door, self.on_clip()) if one.id == cover_id)

    def files_of(self, cover_id: UUID, door: Database | None = None) -> list[bytes]:
        """The picture and its thumbnail."""
        cover: Cover = covers.get(door or self.door, cover_id)
        return [self.folder.read(path) for path in (cover.media_path, cover.thumbnail_path)]

    def known(self, *paths: str) -> set[str]:
        return set(self.world.as_worker().call("known_media", p_paths=list(paths)))
