"""Hand a payload over, get an address, claim it back anywhere."""
