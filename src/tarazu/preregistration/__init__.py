"""Plans that are frozen before any response exists, and what departs from them (docs/preregistration.md)."""
