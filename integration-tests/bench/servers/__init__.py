"""How each compared server is started."""
