//! What a proof must look like, computed from the verification key and the circuit set's parameters alone.

use boojum::cs::implementations::prover::compute_fri_schedule;
use ingot_circuit_set::field::{Digest, NativeVerifier, Proof, ProofConfig, Vk};

use crate::Rejection;

/// Lengths of every part of a proof.
#[derive(Clone, Debug)]
pub(crate) struct ProofShape {
    config: ProofConfig,
    cap: usize,
    public_inputs: usize,
    values_at_z: usize,
    values_at_0: usize,
    queries: usize,
    final_degree: usize,
    /// Elements in a leaf of the witness, stage 2, quotient and setup trees.
    leaves: [usize; 4],
    base_depth: usize,
    /// log2 of each folding step.
    folding: Vec<usize>,
}

impl ProofShape {
    /// The shape of proofs under `vk` with the circuit set's `config`.
    ///
    /// # Errors
    /// [`Rejection::Key`] if they do not belong together.
    pub fn new(verifier: &NativeVerifier, vk: &Vk, config: &ProofConfig) -> Result<Self, Rejection> {
        let fixed = &vk.fixed_parameters;
        let key = |what: &str| Err(Rejection::Key(what.to_owned()));
        if fixed.parameters != verifier.parameters || fixed.lookup_parameters != verifier.lookup_parameters {
            return key("its columns or lookups are those of another circuit");
        }
        if fixed.fri_lde_factor != config.fri_lde_factor || fixed.cap_size != config.merkle_tree_cap_size {
            return key("it was made for another LDE factor or cap size");
        }
        if fixed.cap_size != vk.setup_merkle_tree_cap.len() {
            return key("its Merkle cap has another length than it says");
        }
        let powers = [fixed.domain_size, fixed.fri_lde_factor as u64, fixed.cap_size as u64];
        if powers.iter().any(|n| !n.is_power_of_two()) || fixed.fri_lde_factor < 2 || fixed.domain_size < 8 {
            return key("domain size, LDE factor and cap size must be powers of two");
        }
        let domain_log2 = fixed.domain_size.trailing_zeros();
        let lde_log2 = fixed.fri_lde_factor.trailing_zeros();
        if domain_log2 + lde_log2 > 32 || fixed.cap_size.trailing_zeros() >= domain_log2 + lde_log2 {
            return key("its domain is too large for the field, or too small for its cap");
        }
        if config.pow_bits != 0 || config.fri_folding_schedule.is_some() {
            return key("proof of work and explicit folding schedules are not supported");
        }
        if config.security_level == 0 {
            return key("the parameters ask for no security");
        }
        let (_, queries, folding, final_degree) = compute_fri_schedule(
            config.security_level as u32,
            config.merkle_tree_cap_size,
            config.pow_bits,
            lde_log2,
            domain_log2,
        );

        let lookups = verifier.num_sublookup_arguments();
        let multiplicities =
            verifier.num_multipicities_polys(fixed.total_tables_len as usize, fixed.domain_size);
        let stage_2 = verifier.stage_2_leaf_size(fixed);
        let values_at_z = verifier.num_variable_polys()
            + verifier.num_witness_polys()
            + verifier.num_constant_polys(fixed)
            + verifier.num_copy_permutation_polys()
            + stage_2 / 2
            + multiplicities
            + verifier.num_lookup_table_setup_polys()
            + fixed.quotient_degree;
        Ok(Self {
            config: config.clone(),
            cap: fixed.cap_size,
            public_inputs: fixed.public_inputs_locations.len(),
            values_at_z,
            values_at_0: lookups + multiplicities,
            queries,
            final_degree,
            leaves: [
                verifier.witness_leaf_size(fixed),
                stage_2,
                verifier.quotient_leaf_size(fixed),
                verifier.setup_leaf_size(fixed),
            ],
            base_depth: fixed.base_oracles_depth(),
            folding,
        })
    }

    /// Checks that `proof` has this shape.
    ///
    /// # Errors
    /// [`Rejection::Parameters`], [`Rejection::Shape`].
    pub fn check(&self, proof: &Proof) -> Result<(), Rejection> {
        if proof.proof_config != self.config {
            return Err(Rejection::Parameters {
                expected: format!("{:?}", self.config),
                found: format!("{:?}", proof.proof_config),
            });
        }
        if proof.pow_challenge != 0 {
            // Without proof of work nothing checks it: any other value would be a second proof of the same thing.
            return Err(Rejection::Parameters {
                expected: "no proof of work".into(),
                found: format!("proof of work {}", proof.pow_challenge),
            });
        }
        is("public inputs", self.public_inputs, proof.public_inputs.len())?;
        for (part, cap) in [
            ("witness cap", &proof.witness_oracle_cap),
            ("stage 2 cap", &proof.stage_2_oracle_cap),
            ("quotient cap", &proof.quotient_oracle_cap),
            ("FRI base cap", &proof.fri_base_oracle_cap),
        ] {
            is(part, self.cap, cap.len())?;
        }
        is("values at z", self.values_at_z, proof.values_at_z.len())?;
        is("values at z omega", 1, proof.values_at_z_omega.len())?;
        is("values at 0", self.values_at_0, proof.values_at_0.len())?;
        is("FRI caps", self.folding.len().saturating_sub(1), proof.fri_intermediate_oracles_caps.len())?;
        for cap in &proof.fri_intermediate_oracles_caps {
            is("FRI cap", self.cap, cap.len())?;
        }
        for coefficients in &proof.final_fri_monomials {
            is("final coefficients", self.final_degree, coefficients.len())?;
        }
        is("queries", self.queries, proof.queries_per_fri_repetition.len())?;
        for query in &proof.queries_per_fri_repetition {
            let base =
                [&query.witness_query, &query.stage_2_query, &query.quotient_query, &query.setup_query];
            for (oracle, elements) in base.into_iter().zip(self.leaves) {
                leaf("query", elements, self.base_depth, &oracle.leaf_elements, &oracle.proof)?;
            }
            is("FRI queries", self.folding.len(), query.fri_queries.len())?;
            let mut depth = self.base_depth;
            for (oracle, log2) in query.fri_queries.iter().zip(&self.folding) {
                depth = depth.saturating_sub(*log2);
                leaf("FRI query", 2 << log2, depth, &oracle.leaf_elements, &oracle.proof)?;
            }
        }
        Ok(())
    }
}

fn leaf<T>(part: &str, elements: usize, depth: usize, leaf: &[T], path: &[Digest]) -> Result<(), Rejection> {
    is(&format!("{part}: leaf elements"), elements, leaf.len())?;
    is(&format!("{part}: Merkle path"), depth, path.len())
}

fn is(part: &str, expected: usize, found: usize) -> Result<(), Rejection> {
    match expected == found {
        true => Ok(()),
        false => Err(Rejection::Shape { part: part.to_owned(), expected, found }),
    }
}
