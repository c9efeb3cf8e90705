"""A record's metadata for other programs: citation, deposit, RO-Crate and W3C PROV."""
