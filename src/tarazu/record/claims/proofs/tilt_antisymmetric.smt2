; Tilt, the change of HpR less the change of HmR, changes its sign when arm and base change places.
(declare-const hmr_arm Real)
(declare-const hpr_arm Real)
(declare-const hmr_base Real)
(declare-const hpr_base Real)
(define-fun tilt ((hmr_a Real) (hpr_a Real) (hmr_b Real) (hpr_b Real)) Real (- (- hpr_a hpr_b) (- hmr_a hmr_b)))
