"""What phases, models, scores and states of scripts are called."""

from collections.abc import Mapping
from decimal import Decimal

from services.scripts import models, practice, runs, versions
from services.scripts.phases import Phase

PHASES: Mapping[Phase, str] = {
    "prompt_generation": "Writing",
    "prompt_analysis": "Judging",
    "prompt_improvement": "Improving",
}
RUNS: Mapping[runs.Status, str] = {
    "running": "Running", "completed": "Completed", "failed": "Failed", "cancelled": "Cancelled",
}  # fmt: skip
VERSIONS: Mapping[versions.Status, str] = {
    "draft": "Draft", "final": "Final", "deployed": "Deployed", "archived": "Archived",
}  # fmt: skip


def model(model_id: str) -> str:
    if model_id == practice.MODEL:
        return "Practice writer"
    return models.BY_ID[model_id].title if model_id in models.BY_ID else model_id


def score(points: Decimal | None) -> str:
    return "no score" if points is None else f"score {points.normalize():f}"
