"""The floor of every page: nothing but its heading, in the product's shell."""

import streamlit as st

st.title("Empty")
