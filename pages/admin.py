"""Admin: stores, people, quotas, prices, imports and the company, a section each."""

import streamlit as st

from services.errors import AppError
from ui import (
    admin_alerts,
    admin_company,
    admin_import,
    admin_people,
    admin_prices,
    admin_quotas,
    admin_stores,
    session,
)

person = session.require("admin")

SECTIONS = {
    "Stores": admin_stores.show,
    "People": admin_people.show,
    "Quotas": admin_quotas.show,
    "Alerts": admin_alerts.show,
    "Prices": admin_prices.show,
    "Import": admin_import.show,
    "Company": admin_company.show,
}

try:
    st.title("Admin")
    part = st.segmented_control(
        "Section", list(SECTIONS), default="Stores", required=True, key="part", bind="query-params",
        label_visibility="collapsed",
    )  # fmt: skip
    SECTIONS[part or "Stores"](person)
except AppError as exc:
    st.error(str(exc), icon=":material/error:")
