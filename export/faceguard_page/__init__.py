"""The page that stamps and verifies portraits in a browser."""

from keras_imaging.export.faceguard_page.server import page_server, write_networks

__all__ = ["page_server", "write_networks"]
