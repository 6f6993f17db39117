"""Clips that were uploaded to a shop, and the jobs that work on them, ordered as a page does."""

from uuid import uuid4

from services import clips
from services.clips import UploadedSource
from tests import kill

ALL = ("clips", "thumbnails", "uploads")


def project(world, shop, kind="video"):
    project_id = world.project(shop.store)
    world.execute("update public.projects set kind = %s where id = %s", kind, project_id)
    return project_id


def upload(world, shop, folder, file, ending="mp4", media_type="video", project_id=None):
    """A clip whose file is stored, with the order to prepare it; returns its id."""
    clip_id = uuid4()
    path = clips.upload_path(shop.account, shop.store, clip_id, ending)
    with file.open("rb") as data:
        folder.write(path, data)
    project_id = project_id or project(world, shop, "podcast" if media_type == "audio" else "video")
    source = UploadedSource(path=path, name=file.name, bytes=max(file.stat().st_size, 1), media_type=media_type)
    return clips.add(shop.database, shop.store, project_id, "Autumn", source)


def job_of(world, clip_id):
    """The newest job of a clip."""
    return world.value(
        "select id from public.jobs where input ->> 'clip_id' = %s order by created_at desc limit 1", str(clip_id)
    )


def worker(world, folder, **values):
    """A worker in this process, whose drafts lie beside the media folder; not started."""
    data = folder.path("x").parent.parent / "data"
    return kill.inside(world, folder, clipdesk_data=data, **values)


def done(world, folder, *job_ids):
    """The rows of these jobs after a worker ended them."""
    running = worker(world, folder, job_lease_seconds=kill.LONG_LEASE)
    running.start()
    try:
        return kill.wait_for_end(world, *job_ids)
    finally:
        running.stop()


def row(world, clip_id):
    (found,) = world.rows("select * from public.clips where id = %s", clip_id)
    return found


def drafts(folder):
    return list((folder.path("x").parent.parent / "data" / "work").glob("*"))
