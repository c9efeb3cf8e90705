"""Check mathematical claims with Lean 4's kernel or with two SMT solvers that must agree, in the sandbox."""
