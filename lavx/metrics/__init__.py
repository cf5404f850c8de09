"""How well an explanation describes the network."""
