"""A browser's side of Streamlit's websocket: run a page's whole script and take all that comes back."""

from urllib.parse import quote

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

SECONDS = 60  # a bound on what hangs


class Visitor:
    """One open page. `cookie` is the whole header, `query` what the address holds after the question mark."""

    def __init__(self, url: str, cookie: str, query: str) -> None:
        address = url.replace("http", "ws", 1) + "/_stcore/stream"
        headers = {"Cookie": cookie}
        self._socket: ClientConnection = connect(
            address,
            additional_headers=headers,
            subprotocols=[Subprotocol("streamlit")],
            max_size=None,
        )
        self._query = query
        self._cached: set[str] = set()
        self.pages: dict[str, str] = {}  # hash of a page by its address

    def run(self, page: str) -> int:
        """Run the shell and the page; returns how many elements came. Raises on an exception in the script."""
        message = BackMsg()
        state = message.rerun_script
        state.query_string = self._query
        state.page_script_hash = self.pages.get(page, "")
        state.cached_message_hashes.extend(self._cached)
        self._socket.send(message.SerializeToString())
        return self._receive()

    def _receive(self) -> int:
        elements = 0
        while True:
            data = self._socket.recv(SECONDS)
            message = ForwardMsg.FromString(data if isinstance(data, bytes) else data.encode())
            kind = message.WhichOneof("type")
            if message.metadata.cacheable:
                self._cached.add(message.hash)
            if kind == "navigation":
                self.pages = {page.url_pathname: page.page_script_hash for page in message.navigation.app_pages}
            elif kind == "delta":
                elements += 1
                if message.delta.new_element.WhichOneof("type") == "exception":
                    raise RuntimeError(message.delta.new_element.exception.message)
            elif kind == "script_finished":
                return elements

    def close(self) -> None:
        self._socket.close()


def query_of(store: str) -> str:
    return f"profile={quote(store)}"
