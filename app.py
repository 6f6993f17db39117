"""Clipdesk's ASGI entry: `streamlit run app.py`. Start and stop, routes, the gate; the script is ui/shell.py."""

import logging
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from typing import Any

import anyio
import streamlit as st
from starlette.middleware import Middleware

from services import logs
from services.config import settings
from services.database.connect import process_doors
from services.jobs.worker import worker_inside
from ui.gate import Gate
from ui.routes import ROUTES, announce_first_start
from ui.tuning import tune_server

log = logging.getLogger(__name__)


@asynccontextmanager
async def lifespan(_: Any) -> AsyncIterator[None]:
    """Open the doors and start the worker before the first visitor; close both on SIGTERM."""
    logs.configure(settings().log_level)
    with ExitStack() as stack:
        opened = await anyio.to_thread.run_sync(stack.enter_context, process_doors())
        worker = worker_inside(opened, settings())
        if worker:
            stack.callback(worker.stop)
        await anyio.to_thread.run_sync(announce_first_start)
        tune_server()
        yield


app = st.App("ui/shell.py", lifespan=lifespan, routes=ROUTES, middleware=[Middleware(Gate)])
