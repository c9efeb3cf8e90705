"""What a record says of itself for others' programs: citation, deposit, RO-Crate, W3C PROV."""
