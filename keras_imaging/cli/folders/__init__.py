"""Folders of pictures that a command works through by Ray, here or on other machines."""
