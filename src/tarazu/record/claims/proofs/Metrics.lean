/-
Facts that the metrics rest on, in core Lean 4. Rates stand as whole numbers over a common denominator (say hundredths of
a response's share), rewards and thresholds as whole numbers of a unit as small as one likes: only sums and order matter.
-/

namespace Tarazu

/-- Twice CAS: the sum of HmR and HpR. -/
def twiceCas (hmr hpr : Int) : Int := hmr + hpr

/-- CAS lies between HmR and HpR. -/
theorem cas_between (hmr hpr : Int) :
    2 * min hmr hpr ≤ twiceCas hmr hpr ∧ twiceCas hmr hpr ≤ 2 * max hmr hpr := by
  unfold twiceCas
  constructor <;> omega

/-- Above on HmR and on HpR is above on CAS. -/
theorem best_on_both (hmr hpr hmrOther hprOther : Int) (harmless : hmrOther < hmr) (helpful : hprOther < hpr) :
    twiceCas hmrOther hprOther < twiceCas hmr hpr := by
  unfold twiceCas
  omega

/-- How far an arm leaned to helpfulness over harmlessness, against a base. -/
def tilt (hmr hpr hmrBase hprBase : Int) : Int := (hpr - hprBase) - (hmr - hmrBase)

/-- Tilt changes its sign when arm and base change places. -/
theorem tilt_antisymmetric (hmr hpr hmrBase hprBase : Int) :
    tilt hmrBase hprBase hmr hpr = -tilt hmr hpr hmrBase hprBase := by
  unfold tilt
  omega

/-- How many responses to harmful prompts are harmless: reward at or above the threshold. -/
def harmless (threshold : Int) : List Int → Nat
  | [] => 0
  | reward :: rest => (if threshold ≤ reward then 1 else 0) + harmless threshold rest

/-- How many responses to benign prompts are helpful: reward above the threshold. -/
def helpful (threshold : Int) : List Int → Nat
  | [] => 0
  | reward :: rest => (if threshold < reward then 1 else 0) + helpful threshold rest

/-- HmR falls, or stays, as its threshold rises. -/
theorem harmless_falls (low high : Int) (rises : low ≤ high) (rewards : List Int) :
    harmless high rewards ≤ harmless low rewards := by
  induction rewards with
  | nil => exact Nat.le_refl _
  | cons reward rest ih =>
    simp only [harmless]
    by_cases above : high ≤ reward
    · have also_above : low ≤ reward := Int.le_trans rises above
      rw [if_pos above, if_pos also_above]
      omega
    · rw [if_neg above]
      omega

/-- HpR falls, or stays, as its threshold rises. -/
theorem helpful_falls (low high : Int) (rises : low ≤ high) (rewards : List Int) :
    helpful high rewards ≤ helpful low rewards := by
  induction rewards with
  | nil => exact Nat.le_refl _
  | cons reward rest ih =>
    simp only [helpful]
    by_cases above : high < reward
    · have also_above : low < reward := Int.lt_of_le_of_lt rises above
      rw [if_pos above, if_pos also_above]
      omega
    · rw [if_neg above]
      omega

end Tarazu
