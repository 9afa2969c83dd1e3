//! Proof parameters, and the soundness they give: bits per round, the smallest of which counts.
//!
//! # Legacy
//! queries · log2(LDE factor) + proof of work. It rests on the conjecture that Reed–Solomon proximity tests are sound up to
//! capacity, which is refuted as stated (ePrint 2025/2046, 2025/2010). For comparison only.
//!
//! # Proven
//! Everything at a proximity radius just below the Johnson radius, with ρ = 1 / LDE factor and an integer m ≥ 3:
//!
//! * θ = 1 − √ρ·(1 + 1/(2m)): a received word within θ of the code has at most L = (m + ½)/√ρ codewords near it.
//! * **Queries** (s of them): error (1 − θ)^s = (√ρ·(1 + 1/(2m)))^s, divided by 2^proof-of-work.
//! * **Correlated agreement**, Theorem 4.2 of BCHKS25 (ePrint 2025/2055), linear in the length n of the code: a random point
//!   on a line through two words, one of which is far, is near with probability at most
//!   ε(n) = \[ (2(m+½)⁵ + 3(m+½)θρ)·n / (3ρ√ρ) + (m+½)/√ρ \] / |F|. On the curve of powers of one challenge through ℓ words
//!   the error is (ℓ − 1)·ε(n).
//! * **Batching** (the DEEP challenge): ℓ = number of openings that the proof batches (see [`batched_openings`]), n = trace · LDE.
//! * **Folding**: by 8 with powers of one challenge: 7·ε(n/8), 7·ε(n/64), …
//! * **Copy permutation and lookup** (β, γ), **constraints** (α), **DEEP** (z): polynomial identities over F, at most L codewords
//!   each: L·(columns + 1)·2·rows/|F|, L·terms/|F|, L·(degree + 1)·rows/|F|. Terms and degree are bounded by
//!   [`MAX_QUOTIENT_TERMS`] and [`MAX_CONSTRAINT_DEGREE`]. These rounds are 15 bits and more away from the smallest.
//!
//! |F| = p² (a little below 2^128). m is chosen to make the smallest round largest.
//!
//! For 2^15 rows and 400 openings, `proven80` (ρ = 1/16, s = 44): at m = 5, 1 − θ = 0.25·1.1 and queries give
//! −44·log2(0.275) = 81.95 bits; ε(2^19) = (10066·2^19/0.0469 + 22)/2^128 = 2^−91.29 and batching gives
//! 91.29 − log2(399) = 82.65 bits. `legacy100` (ρ = 1/8, s = 34): 51 − 34·log2(1 + 1/(2m)), 46.3 at m = 5 and 50.6 at the best m.
//!
//! # What is assumed
//! Poseidon2 behaves as a random oracle (Fiat–Shamir over these rounds, and commitments); figures are those of one round
//! (round-by-round soundness), not multiplied by the number of an attacker's hash calls. The theorem is used as published, for
//! curves as for lines.

use crate::{
    field::{Proof, ProofConfig, F},
    SecurityBits,
};

/// Bound on the terms that the quotient adds up with powers of α, over all circuits.
pub const MAX_QUOTIENT_TERMS: usize = 1 << 12;
/// Bound on the degree of a term in the trace polynomials.
pub const MAX_CONSTRAINT_DEGREE: usize = 16;
/// Polynomials folded into one by a FRI round.
const FOLD: usize = 8;
/// Theorem 4.2 needs at least this multiplicity.
const MIN_MULTIPLICITY: u32 = 3;
/// Beyond this the query error is within 0.01% of its limit.
const MAX_MULTIPLICITY: u32 = 5000;

/// Proof parameters of a circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParameterSet {
    /// Its name.
    pub name: &'static str,
    /// LDE factor, a power of two: the inverse of the rate.
    pub lde_factor: usize,
    /// FRI queries.
    pub queries: usize,
    /// Bits of proof of work before the queries. In-circuit verifiers support none.
    pub pow_bits: u32,
    /// Size of Merkle caps.
    pub cap_size: usize,
}

/// The ledger's default: at least 80 proven bits in every round.
pub const PROVEN80: ParameterSet =
    ParameterSet { name: "proven80", lde_factor: 16, queries: 44, pow_bits: 0, cap_size: 16 };

/// About half the cost, about 50 proven bits: for tests.
pub const LEGACY100: ParameterSet =
    ParameterSet { name: "legacy100", lde_factor: 8, queries: 34, pow_bits: 0, cap_size: 16 };

/// ZKsync Era's, in all its rounds: 100 bits by the legacy count, about 49 proven. Not ours to choose: the official
/// verification keys fix them.
pub const ERA100: ParameterSet =
    ParameterSet { name: "era100", lde_factor: 2, queries: 100, pow_bits: 0, cap_size: 16 };

impl ParameterSet {
    /// log2 of the LDE factor.
    pub fn lde_log2(&self) -> usize {
        self.lde_factor.ilog2() as usize
    }

    /// The proof library's parameters. Its `security_level` is the legacy figure, from which it derives the queries.
    pub fn proof_config(&self) -> ProofConfig {
        ProofConfig {
            fri_lde_factor: self.lde_factor,
            merkle_tree_cap_size: self.cap_size,
            fri_folding_schedule: None,
            security_level: self.queries * self.lde_log2() + self.pow_bits as usize,
            pow_bits: self.pow_bits,
        }
    }
}

/// What soundness depends on besides the parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Rows, a power of two.
    pub trace_len: usize,
    /// Openings batched into FRI, see [`batched_openings`]; also taken as a bound on the copied columns and lookup terms.
    pub openings: usize,
}

/// Number of openings that a proof batches with powers of the DEEP challenge: a property of its circuit.
pub fn batched_openings(proof: &Proof) -> usize {
    proof.values_at_z.len()
        + proof.values_at_z_omega.len()
        + proof.values_at_0.len()
        + proof.public_inputs.len()
}

/// A round of the protocol in which a cheating prover could be lucky.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Round {
    /// β, γ: copy permutation and lookups.
    Permutation,
    /// α: constraints combined.
    Constraints,
    /// z: the point where everything is opened.
    Deep,
    /// The DEEP challenge: openings combined.
    Batching,
    /// A FRI folding challenge, counted from 0.
    Folding(u32),
    /// The queries.
    Queries,
}

/// Proven bits of every round at a multiplicity.
#[derive(Clone, Debug, PartialEq)]
pub struct ProvenSecurity {
    /// The proximity parameter m.
    pub multiplicity: u32,
    /// Bits of each round.
    pub rounds: Vec<(Round, f64)>,
}

impl ProvenSecurity {
    /// The smallest of the rounds' bits.
    pub fn bits(&self) -> f64 {
        self.rounds.iter().map(|(_, bits)| *bits).fold(f64::INFINITY, f64::min)
    }

    /// Bits of one round.
    pub fn of(&self, round: Round) -> Option<f64> {
        self.rounds.iter().find(|(r, _)| *r == round).map(|(_, bits)| *bits)
    }
}

/// Conjectured bits, for comparison.
pub fn legacy_bits(set: &ParameterSet) -> f64 {
    (set.queries * set.lde_log2()) as f64 + f64::from(set.pow_bits)
}

/// Proven bits of each round at multiplicity `m`.
pub fn proven_rounds(set: &ParameterSet, shape: Shape, m: u32) -> ProvenSecurity {
    // At least one bit of rate, two openings and one row, so that no logarithm meets zero.
    let rate = 1.0 / set.lde_factor.max(2) as f64;
    let sqrt_rate = rate.sqrt();
    let rows = shape.trace_len.max(1) as f64;
    let openings = shape.openings.max(2) as f64;
    let m_half = f64::from(m) + 0.5;
    let far = 1.0 - sqrt_rate * (1.0 + 0.5 / f64::from(m));
    let field_bits = 2.0 * (F::ORDER as f64).log2();
    let list = m_half / sqrt_rate;
    let line = |length: f64| {
        (2.0 * m_half.powi(5) + 3.0 * m_half * far * rate) * length / (3.0 * rate * sqrt_rate)
            + m_half / sqrt_rate
    };
    let bits = |numerator: f64| field_bits - numerator.log2();

    let mut rounds = vec![
        (Round::Permutation, bits(list * (openings + 1.0) * 2.0 * rows)),
        (Round::Constraints, bits(list * MAX_QUOTIENT_TERMS as f64)),
        (Round::Deep, bits(list * (MAX_CONSTRAINT_DEGREE as f64 + 1.0) * rows)),
        (Round::Batching, bits((openings - 1.0) * line(rows / rate))),
    ];
    let mut folded = rows;
    let mut number = 0;
    while folded > 1.0 {
        // The last fold is by less; its error is smaller still.
        folded /= FOLD as f64;
        rounds.push((Round::Folding(number), bits((FOLD as f64 - 1.0) * line(folded / rate))));
        number += 1;
    }
    let query = -(set.queries as f64) * (1.0 - far).log2() + f64::from(set.pow_bits);
    rounds.push((Round::Queries, query));
    ProvenSecurity { multiplicity: m, rounds }
}

/// Proven bits of each round at the best multiplicity.
pub fn proven(set: &ParameterSet, shape: Shape) -> ProvenSecurity {
    let mut best = proven_rounds(set, shape, MIN_MULTIPLICITY);
    for m in MIN_MULTIPLICITY + 1..=MAX_MULTIPLICITY {
        let next = proven_rounds(set, shape, m);
        // Queries gain and all else loses as m grows: the smaller of the two has one peak.
        if next.bits() < best.bits() {
            break;
        }
        best = next;
    }
    best
}

/// Proven bits of a circuit with `trace_len` rows whose proofs batch `openings` openings.
pub fn proven_bits(set: &ParameterSet, trace_len: usize, openings: usize) -> f64 {
    proven(set, Shape { trace_len, openings }).bits()
}

/// Both figures of a circuit.
pub fn security_bits(set: &ParameterSet, trace_len: usize, openings: usize) -> SecurityBits {
    SecurityBits { proven: proven_bits(set, trace_len, openings), legacy: legacy_bits(set) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use boojum::cs::implementations::prover::compute_fri_schedule;

    const TIP: Shape = Shape { trace_len: 1 << 15, openings: 400 };

    fn close(found: Option<f64>, expected: f64) {
        let found = found.unwrap();
        assert!((found - expected).abs() < 0.05, "expected {expected}, found {found}");
    }

    #[test]
    fn the_default_has_80_proven_bits_in_every_round() {
        let at5 = proven_rounds(&PROVEN80, TIP, 5);
        close(at5.of(Round::Queries), 81.95);
        close(at5.of(Round::Batching), 82.65);
        for trace_len in [1 << 14, 1 << 15] {
            let best = proven(&PROVEN80, Shape { trace_len, openings: 400 });
            assert!(best.bits() >= 80.0, "{best:?}");
            assert!(best.rounds.iter().all(|(_, bits)| *bits >= 80.0));
        }
        for round in [Round::Permutation, Round::Constraints, Round::Deep] {
            assert!(
                at5.of(round).unwrap() > 97.0,
                "{round:?} is far from the smallest, so its bounds may be coarse"
            );
        }
        assert_eq!(proven(&PROVEN80, TIP).multiplicity, 5);
        assert!(proven_bits(&PROVEN80, 1 << 15, 600) >= 80.0, "room for wider circuits");
        assert_eq!(legacy_bits(&PROVEN80), 176.0);
    }

    #[test]
    fn the_test_parameters_have_not() {
        let best = proven(&LEGACY100, TIP);
        assert!(best.bits() < 51.0 && best.bits() > 50.0, "{best:?}");
        close(proven_rounds(&LEGACY100, TIP, 5).of(Round::Queries), 46.3);
        assert_eq!(legacy_bits(&LEGACY100), 102.0);
    }

    #[test]
    fn eras_parameters_have_what_their_description_says() {
        let best = proven_bits(&ERA100, 1 << 20, 1 << 10);
        assert!((48.0..50.0).contains(&best), "{best}");
        assert_eq!(legacy_bits(&ERA100), 100.0);
    }

    #[test]
    fn queries_alone_do_not_reach_100_bits_over_this_field() {
        let many = ParameterSet { queries: 200, ..PROVEN80 };
        assert!(proven_bits(&many, 1 << 14, 400) < 87.0);
    }

    #[test]
    fn the_best_multiplicity_beats_every_other() {
        for set in [PROVEN80, LEGACY100] {
            let best = proven(&set, TIP).bits();
            for m in MIN_MULTIPLICITY..200 {
                assert!(proven_rounds(&set, TIP, m).bits() <= best, "{m}");
            }
        }
    }

    #[test]
    fn the_library_draws_the_stated_number_of_queries_and_folds_by_at_most_8() {
        for set in [PROVEN80, LEGACY100] {
            let config = set.proof_config();
            for rows_log2 in [14, 15] {
                let (pow, queries, schedule, _) = compute_fri_schedule(
                    config.security_level as u32,
                    config.merkle_tree_cap_size,
                    config.pow_bits,
                    set.lde_log2() as u32,
                    rows_log2,
                );
                assert_eq!((pow, queries), (set.pow_bits, set.queries));
                assert!(schedule.iter().all(|fold| 1 << fold <= FOLD));
            }
        }
    }
}
