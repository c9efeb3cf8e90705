; CAS, the mean of HmR and HpR, lies between them.
(declare-const hmr Real)
(declare-const hpr Real)
(define-fun cas () Real (/ (+ hmr hpr) 2.0))
(define-fun least () Real (ite (<= hmr hpr) hmr hpr))
(define-fun greatest () Real (ite (<= hmr hpr) hpr hmr))
