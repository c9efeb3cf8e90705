"""How one claim is checked: what it points at, what evidence bears it out, and what was found."""
