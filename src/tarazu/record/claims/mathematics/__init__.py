"""Mathematical claims: Lean 4's kernel, or two SMT solvers that agree, both in the sandbox."""
