//! Poseidon2 over three elements of BN254's scalar field, in-circuit: the permutation that `rescue_poseidon` has natively
//! (8 full and 56 partial rounds, x⁵, external matrix circ(2, 1, 1), internal matrix 1 + diag(1, 1, 2)).
//!
//! # Partial rounds in two rows
//! Let x_k be what the k-th of them raises to y_k = x_k⁵ (its constant added before), and c_k its constant. Its state (s, t, u)
//! becomes (2y + t + u, y + 2t + u, y + t + 3u). Eliminating t and u gives
//!
//! x_{k+3} = (2y_{k+2} + 5x_{k+2}) − (8y_{k+1} + 5x_{k+1}) + 7y_k + constants,
//!
//! and with w_k = 2y_k + 5x_k: x_{k+3} = w_{k+2} − w_{k+1} − 6y_{k+1} + 7y_k + constants. That is five variables, which a row
//! with d of the next holds. Rows are written from the last round to the first: that of x_k⁵ has y_k as its d and adds
//! by its main gate that d of the next row is w_k; the row of the recurrence between those of x_{k+2} and x_{k+1} has
//! w_{k+2} as d, and y_{k+1} as d of the next. So each partial round takes two rows.

use std::sync::LazyLock;

use bellman::{
    bn256::{Bn256, Fr},
    plonk::better_better_cs::cs::ConstraintSystem,
    Field as _, SynthesisError,
};
use rescue_poseidon::{poseidon2::Poseidon2Params, HashParams as _};

use super::builder::{fr, negated, Builder, Sum, Wire};

type Result<T> = std::result::Result<T, SynthesisError>;

/// A state.
pub(super) type State = [Sum; 3];

static PARAMETERS: LazyLock<Poseidon2Params<Bn256, 2, 3>> = LazyLock::new(Poseidon2Params::default);

/// Three zeros.
pub(super) fn zero() -> State {
    [(); 3].map(|()| Sum::zero())
}

/// A partial round: its x, and x², x⁴, x⁵.
struct Partial {
    x: Wire,
    square: Wire,
    fourth: Wire,
    y: Wire,
}

impl<CS: ConstraintSystem<Bn256>> Builder<'_, CS> {
    /// Applies the permutation. What comes out are sums of three variables at most.
    pub fn permute(&mut self, state: &State) -> Result<State> {
        let half = PARAMETERS.number_of_full_rounds() / 2;
        let partial = PARAMETERS.number_of_partial_rounds();
        let mut state = external(state);
        for round in 0..half {
            state = self.full_round(&state, round)?;
        }
        state = self.partial_rounds(&state, half, partial)?;
        for round in half + partial..2 * half + partial {
            state = self.full_round(&state, round)?;
        }
        Ok(state)
    }

    fn full_round(&mut self, state: &State, round: usize) -> Result<State> {
        let mut powers = zero();
        for ((element, constant), power) in
            state.iter().zip(PARAMETERS.constants_of_round(round)).zip(&mut powers)
        {
            let mut with_constant = element.clone();
            with_constant.add_constant(*constant);
            let x = self.wire(&with_constant)?;
            *power = self.fifth_power(x, None)?.into();
        }
        Ok(external(&powers))
    }

    fn partial_rounds(&mut self, state: &State, first: usize, count: usize) -> Result<State> {
        let constants: Vec<Fr> =
            (first..first + count).map(|round| PARAMETERS.constants_of_round(round)[0]).collect();
        if count < 3 {
            return Err(SynthesisError::Unsatisfiable);
        }
        let mut rounds: Vec<Partial> = Vec::with_capacity(count);
        // Values go from the first round on, rows from the last one back.
        for (k, constant) in constants.iter().enumerate() {
            let x = match k {
                // The first three come from the state: no row before them has what the recurrence needs.
                0..3 => {
                    let mut sum = element_before(state, &rounds);
                    sum.add_constant(*constant);
                    self.wire(&sum)?
                }
                _ => {
                    let value =
                        recurrence_value(&rounds[k - 3..k], recurrence_constant(&constants[k - 3..=k]));
                    self.allocate(value)?
                }
            };
            let [square, fourth, y] = self.allocate_fifth_power(x)?;
            rounds.push(Partial { x, square, fourth, y });
        }
        self.partial_rows(&rounds, &constants)?;
        Ok(last_state(&rounds, &constants))
    }

    fn partial_rows(&mut self, rounds: &[Partial], constants: &[Fr]) -> Result<()> {
        // w_k for the rounds in which some recurrence has it: all but the first and the last.
        let mut w = vec![None; rounds.len()];
        for (k, round) in rounds.iter().enumerate().skip(1) {
            if k + 1 < rounds.len() {
                let mut sum = Sum::zero();
                sum.add_wire(fr(5), round.x);
                sum.add_wire(fr(2), round.y);
                w[k] = Some(self.allocate(sum.value())?);
            }
        }
        for (k, Partial { x, square, fourth, y }) in rounds.iter().enumerate().rev() {
            // The recurrence of x_{k+1}, with w_k as d, comes after this row, and the row of round k − 1 after that.
            let recurrence = (2..rounds.len().saturating_sub(1)).contains(&k);
            match (w[k], recurrence) {
                (Some(own), true) => {
                    self.fifth_power_row(*x, *square, *fourth, *y, Some([fr(5), fr(2)]))?;
                    let (Some(next), Some(before)) = (w[k - 1], rounds.get(k - 2)) else {
                        return Err(SynthesisError::Unsatisfiable);
                    };
                    // −x_{k+1} + w_k − w_{k−1} − 6 y_{k−1} + 7 y_{k−2} + constant = 0
                    self.row_with_next(
                        [rounds[k + 1].x, next, before.y, own],
                        [negated(fr(1)), negated(fr(1)), fr(7), fr(1)],
                        recurrence_constant(&constants[k - 2..=k + 1]),
                        negated(fr(6)),
                    )?;
                }
                // w_1 has no recurrence of its own: a row of its own defines it.
                (Some(own), false) => {
                    self.fifth_power_row(*x, *square, *fourth, *y, None)?;
                    let mut sum = Sum::zero();
                    sum.add_wire(fr(5), *x);
                    sum.add_wire(fr(2), *y);
                    sum.add_wire(negated(fr(1)), own);
                    self.enforce_zero(&[], &sum)?;
                }
                (None, _) => self.fifth_power_row(*x, *square, *fourth, *y, None)?,
            }
        }
        Ok(())
    }
}

/// Multiplies by circ(2, 1, 1): each element plus the sum of all.
fn external(state: &State) -> State {
    let [s, t, u] = state;
    let sum = s.clone().plus(t).plus(u);
    [sum.clone().plus(s), sum.clone().plus(t), sum.plus(u)]
}

/// The first element after some rounds from `state`, without constant, by the rounds as they are written.
fn element_before(state: &State, rounds: &[Partial]) -> Sum {
    let [mut s, mut t, mut u] = state.clone();
    for round in rounds {
        let y = Sum::from(round.y);
        let sum = y.plus(&t).plus(&u);
        s = sum.clone().plus(&Sum::from(round.y));
        t = sum.clone().plus(&t);
        u = sum.plus(&u).plus(&u);
    }
    s
}

/// What the recurrence adds for the constants c_k to c_{k+3}. With x_k less its constant in place of x_k it adds nothing:
/// c_{k+3} − 5 c_{k+2} + 5 c_{k+1}.
fn recurrence_constant(constants: &[Fr]) -> Fr {
    let [_, first, second, third] = constants else { return Fr::zero() };
    let mut sum = *first;
    sum.sub_assign(second);
    sum.mul_assign(&fr(5));
    sum.add_assign(third);
    sum
}

/// x_{k+3} by the recurrence, from rounds k to k + 2.
fn recurrence_value(rounds: &[Partial], constant: Fr) -> Option<Fr> {
    let [zeroth, first, second] = rounds else { return None };
    let mut sum = Sum::constant(constant);
    sum.add_wire(fr(2), second.y);
    sum.add_wire(fr(5), second.x);
    sum.add_wire(negated(fr(8)), first.y);
    sum.add_wire(negated(fr(5)), first.x);
    sum.add_wire(fr(7), zeroth.y);
    sum.value()
}

/// The state after the last round, of the last three rounds' variables. With x less its constant and k the last round but two:
/// x_{k+1} = 2y_k + t + u and x_{k+2} = 2y_{k+1} + t' + u', t' + u' = 2y_k + 3t + 4u, give t and u after round k − 1.
fn last_state(rounds: &[Partial], constants: &[Fr]) -> State {
    let at = |back: usize| {
        let k = rounds.len() - back;
        let mut x = Sum::from(rounds[k].x);
        x.add_constant(negated(constants[k]));
        (x, Sum::from(rounds[k].y))
    };
    let ((_, y0), (x1, y1), (x2, y2)) = (at(3), at(2), at(1));
    // t + u = x1 − 2 y0 and 3t + 4u = x2 − 2 y1 − 2 y0.
    let minus = |sum: Sum, factor: u64, other: &Sum| {
        let mut sum = sum;
        sum.add_scaled(negated(fr(factor)), other);
        sum
    };
    let both = minus(x1, 2, &y0);
    let weighted = minus(minus(x2, 2, &y1), 2, &y0);
    let u = minus(weighted, 3, &both);
    let t = minus(both, 1, &u);
    let (mut s, mut t, mut u) = (Sum::zero(), t, u);
    for y in [&y0, &y1, &y2] {
        let sum = y.clone().plus(&t).plus(&u);
        s = sum.clone().plus(y);
        t = sum.clone().plus(&t);
        u = sum.plus(&u).plus(&u);
    }
    [s, t, u]
}
