"""How each network is trained: one recipe a file, each a dataclass."""
