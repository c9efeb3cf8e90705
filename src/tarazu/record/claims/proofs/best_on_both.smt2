; An arm that is above another on HmR and on HpR is above it on CAS.
(declare-const hmr Real)
(declare-const hpr Real)
(declare-const hmr_other Real)
(declare-const hpr_other Real)
(define-fun cas ((m Real) (p Real)) Real (/ (+ m p) 2.0))
(assert (> hmr hmr_other))
(assert (> hpr hpr_other))
