; Wilson's interval for a share p of n responses lies within 0 and 1 (0 and 100 percent). With a = z^2/n its bounds are
; (p + a/2 - w) / (1 + a) and (p + a/2 + w) / (1 + a), w being the root of a p (1 - p) + a^2/4. Nothing is needed of w but
; that it is no larger than that root.
(declare-const p Real)
(declare-const a Real)
(declare-const w Real)
(assert (<= 0.0 p 1.0))
(assert (> a 0.0))
(assert (>= w 0.0))
(assert (<= (* w w) (+ (* a p (- 1.0 p)) (/ (* a a) 4.0))))
(define-fun lower_numerator () Real (- (+ p (/ a 2.0)) w))
(define-fun upper_numerator () Real (+ p (/ a 2.0) w))
