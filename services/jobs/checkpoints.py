"""Places at which a crash test kills the process that passes them.

`CLIPDESK_KILL_AT=written:2` sends SIGKILL to the process when it reaches `written` for the second time; for tests
only. Places of a job: `claimed`, `step_saved`, `ended`; of each passage of speech `intended`, `sent`, `answered`,
`spooled` (only where a vendor is paid), `written`, `settled`; of its whole `joined`, `joined_written`; of a clip
`clip_made`, `clip_written`, `thumbnail_written`; of a cover `filed`, `thumbnail_written`; of a notice's e-mail or
webhook `delivery_claimed`, `handed_over` (e-mails only), `delivered`, `delivery_noted`; of a post `publish_claimed`,
`media_uploaded`, `media_noted`, `send_intended`, `posts_created`, `posts_noted`, `listed`, `readings_saved`; of an
export `lines_read` (each page), `export_stored`; of an import `import_lines_sent` (each batch), `folder_taken`.
"""

import os
import signal
from collections import Counter

_passed: Counter[str] = Counter()


def reached(name: str) -> None:
    """Die here if the environment says so, as a power cut would: nothing is cleaned up."""
    wanted = os.environ.get("CLIPDESK_KILL_AT")
    if not wanted:
        return
    _passed[name] += 1
    if wanted == f"{name}:{_passed[name]}":
        os.kill(os.getpid(), signal.SIGKILL)
