//! Proof parameters of the two steps, and the soundness they give.

use ingot_circuit_set::{
    security::{security_bits, ParameterSet},
    SecurityBits,
};

use super::circuit::TRACE_LEN;

/// The first step: 29 queries at rate 1/64. At m = 5 queries give −29·log2(1.1/8) = 83.0 bits; batching some 400 openings over
/// 2^19 points 79 bits at that m, and the best m balances the two at 80 and more: [`step_security`] computes it.
pub const FIRST: ParameterSet =
    ParameterSet { name: "compression-first", lde_factor: 64, queries: 29, pow_bits: 0, cap_size: 16 };

/// The last step: 26 queries at rate 1/32 and 20 bits of proof of work.
pub const LAST: ParameterSet =
    ParameterSet { name: "compression-last", lde_factor: 32, queries: 26, pow_bits: 20, cap_size: 16 };

/// Both figures of a step whose proofs batch `openings` openings.
pub fn step_security(parameters: &ParameterSet, openings: usize) -> SecurityBits {
    security_bits(parameters, TRACE_LEN, openings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_steps_have_80_proven_bits() {
        for parameters in [FIRST, LAST] {
            let bits = step_security(&parameters, 420);
            assert!(bits.proven >= 80.0, "{}: {bits:?}", parameters.name);
        }
    }
}
