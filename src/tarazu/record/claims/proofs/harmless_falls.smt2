; HmR falls, or stays, as its threshold rises. The share of responses with a reward at or above a threshold is a count
; over a fixed number of responses, so it is enough to follow the count, response by response: `low` and `high` are two
; thresholds, and one more response, of reward `reward`, is added to counts that stood in the right order.
(declare-const low Real)
(declare-const high Real)
(declare-const reward Real)
(declare-const passed_low Int)
(declare-const passed_high Int)
(assert (<= low high))
(assert (<= 0 passed_high))
(assert (<= passed_high passed_low))
(define-fun harmless ((r Real) (threshold Real)) Int (ite (>= r threshold) 1 0))
