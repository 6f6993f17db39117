"""Clips' files: what they are, what is known of them, what networks take, and speech put on them. Through PyAV."""

from services.video.kinds import HEAD, Kind, MediaType, sniff

__all__ = ["HEAD", "Kind", "MediaType", "sniff"]
