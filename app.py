"""Clipdesk's ASGI entry: `streamlit run app.py`. Start and stop, routes, the gate; the script is ui/shell.py."""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from typing import Any

import anyio
import streamlit as st
from starlette.middleware import Middleware

from services import logs
from services.config import settings
from services.database.connect import process_doors
from services.errors import AppError
from services.identity import check_sign_in
from services.jobs.worker import worker_inside
from ui.gate import Gate
from ui.routes import ROUTES, announce_first_start
from ui.tuning import tune_server


@asynccontextmanager
async def lifespan(_: Any) -> AsyncIterator[None]:
    """Open the doors and start the worker before the first visitor; close both on SIGTERM."""
    with ExitStack() as stack:
        await anyio.to_thread.run_sync(open_all, stack)
        tune_server()
        yield


def open_all(stack: ExitStack) -> None:
    """Open what the app needs, to be closed with `stack`; a start that cannot be ends with one sentence."""
    try:
        logs.configure(settings().log_level)
        opened = stack.enter_context(process_doors())
        worker = worker_inside(opened, settings())
        if worker:
            stack.callback(worker.stop)
        check_sign_in()
        announce_first_start()
    except AppError as exc:
        stack.close()
        sys.stderr.write(f"Clipdesk cannot start. {exc}\n")
        os._exit(1)  # the server would print a traceback around the sentence


app = st.App("ui/shell.py", lifespan=lifespan, routes=ROUTES, middleware=[Middleware(Gate)])
