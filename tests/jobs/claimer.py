"""Claim and complete jobs of the kind `work` with many threads: `python -m tests.jobs.claimer URL THREADS`.

Prints the id of each job it claimed, once the standard input is closed, so that several start together.
"""

import sys
from concurrent.futures import ThreadPoolExecutor

from services.database.postgres import Postgres, open_pool


def claim_all(database: Postgres) -> list[str]:
    claimed = []
    while job := database.call("claim_job", p_worker="many", p_kinds=["work"], p_lease_seconds=60):
        claimed.append(job["id"])
        database.call(
            "complete_job", p_job_id=job["id"], p_attempt_token=job["attempt_token"], p_result={"worker": "many"}
        )
    return claimed


def main(url: str, threads: int) -> None:
    pool = open_pool(url, threads)
    database = Postgres(pool=pool, role="service_role", claims={"role": "service_role"})
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.read()
    with ThreadPoolExecutor(threads) as runners:
        for claimed in runners.map(claim_all, [database] * threads):
            sys.stdout.writelines(f"{job_id}\n" for job_id in claimed)
    pool.close()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
