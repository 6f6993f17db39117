# Clipdesk: the app, and by another command the worker or the migrations. docs/deploy.md tells how to run it.
FROM python:3.12-slim

# An account of its own; the folder is a volume's place, so that new volumes belong to that account.
RUN useradd --system --uid 10001 --home-dir /var/lib/clipdesk clipdesk \
    && mkdir -p /var/lib/clipdesk/media /var/lib/clipdesk/spool \
    && chown -R clipdesk:clipdesk /var/lib/clipdesk
WORKDIR /opt/clipdesk

# Apart from the program, so that a change of the program installs nothing anew.
COPY requirements.txt ./
RUN pip install --no-cache-dir --disable-pip-version-check -r requirements.txt

COPY app.py ./
COPY .streamlit/config.toml .streamlit/
COPY pages/ pages/
COPY ui/ ui/
COPY services/ services/
COPY supabase/migrations/ supabase/migrations/
# The account may read whatever modes the files came with, and not write: without this each start would compile anew.
RUN chmod -R a+rX . && python -m compileall -q app.py pages ui services

# Logs come at once; the app listens to the container's network, where .streamlit/config.toml says this machine only.
ENV PYTHONUNBUFFERED=1 \
    CLIPDESK_DATA=/var/lib/clipdesk \
    STREAMLIT_SERVER_ADDRESS=0.0.0.0 \
    STREAMLIT_SERVER_PORT=8501
USER clipdesk
EXPOSE 8501

# 200 while the database answers. Other commands than the app's switch it off.
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8501/healthz', timeout=8)"]
CMD ["python", "-m", "streamlit", "run", "app.py"]
