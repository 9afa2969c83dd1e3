//! The shape a proof must have before the in-circuit verifier reads it: the library panics on any other.

use boojum::{
    config::{CSConfig, SetupCSConfig},
    cs::{
        cs_builder::new_builder,
        cs_builder_reference::CsReferenceImplementationBuilder,
        implementations::{
            proof::{OracleQuery, SingleRoundQueries},
            verifier::VerificationKeyCircuitGeometry,
        },
        traits::circuit::{CircuitBuilder, CircuitBuilderProxy},
    },
    dag::StCircuitResolver,
};
use ingot_circuit_set::{
    field::{Digest, Ext, Packed, Proof, ProofConfig, TreeHasher, F},
    SetError,
};

use super::{geometry::RecursionGates, verify::VerifiedCircuit};

type Query = OracleQuery<F, TreeHasher>;

/// Elements of a leaf and digests of the path to it.
#[derive(Clone, Copy, Debug)]
struct QueryShape {
    leaf: usize,
    path: usize,
}

/// The numbers of things in a proof.
#[derive(Clone, Debug)]
pub struct ProofShape {
    config: ProofConfig,
    cap: usize,
    public_inputs: usize,
    final_monomials: usize,
    values_at_z: usize,
    values_at_z_omega: usize,
    values_at_0: usize,
    queries: usize,
    /// Witness, second stage, quotient, setup.
    oracles: [QueryShape; 4],
    fri: Vec<QueryShape>,
}

impl ProofShape {
    /// The shape of proofs of `verified`, a circuit with the gates of `C`.
    ///
    /// # Errors
    /// [`SetError::Inconsistent`] if the key is one of a circuit with other columns.
    pub fn new<C: CircuitBuilder<F> + 'static>(verified: &VerifiedCircuit) -> Result<Self, SetError> {
        let VerificationKeyCircuitGeometry { parameters, lookup_parameters, .. } = verified.geometry();
        if (*parameters, *lookup_parameters) != (C::geometry(), C::lookup_parameters()) {
            return Err(SetError::Inconsistent(format!(
                "the key is for {parameters:?}, {lookup_parameters:?}; the circuit has {:?}, {:?}",
                C::geometry(),
                C::lookup_parameters()
            )));
        }
        // The in-circuit verifier knows the numbers, and wants a constraint system to put its constants in.
        let builder = CsReferenceImplementationBuilder::<
            F,
            Packed,
            SetupCSConfig,
            StCircuitResolver<F, <SetupCSConfig as CSConfig>::ResolverConfig>,
        >::new(RecursionGates::geometry(), 1 << 10);
        let mut cs = RecursionGates::configure_builder(new_builder::<_, F>(builder)).build(1usize << 12);
        let verifier = CircuitBuilderProxy::<F, C>::dyn_recursive_verifier_builder::<Ext, _>()
            .create_recursive_verifier(&mut cs);

        let (geometry, config) = (verified.geometry(), verified.config());
        let path = geometry.base_oracles_depth();
        let mut depth = path;
        let mut fri = Vec::new();
        for folded in verifier.fri_folding_schedule(geometry, config) {
            depth = depth.checked_sub(folded).ok_or_else(|| {
                SetError::Inconsistent(format!("{config:?} folds {} rows too often", geometry.domain_size))
            })?;
            fri.push(QueryShape { leaf: 2 << folded, path: depth });
        }
        Ok(Self {
            config: config.clone(),
            cap: geometry.cap_size,
            public_inputs: geometry.num_public_inputs(),
            final_monomials: verifier.final_expected_degree(geometry, config),
            values_at_z: verifier.num_poly_values_at_z(geometry),
            values_at_z_omega: verifier.num_poly_values_at_z_omega(),
            values_at_0: verifier.num_poly_values_at_zero(geometry),
            queries: verifier.num_fri_repetitions(geometry, config),
            oracles: [
                verifier.witness_leaf_size(geometry),
                verifier.stage_2_leaf_size(geometry),
                verifier.quotient_leaf_size(geometry),
                verifier.setup_leaf_size(geometry),
            ]
            .map(|leaf| QueryShape { leaf, path }),
            fri,
        })
    }

    /// Checks a key's cap and proofs; `what` names the circuit that verifies them.
    ///
    /// # Errors
    /// [`SetError::Inconsistent`] saying what has another shape.
    pub fn check<'a>(
        &self,
        what: &str,
        cap: &[Digest],
        proofs: impl IntoIterator<Item = &'a Proof>,
    ) -> Result<(), SetError> {
        expect(what, "digests of the key's cap", cap.len(), self.cap)?;
        proofs.into_iter().try_for_each(|proof| self.check_proof(what, proof))
    }

    fn check_proof(&self, what: &str, proof: &Proof) -> Result<(), SetError> {
        if proof.proof_config != self.config {
            return Err(SetError::Inconsistent(format!(
                "{what}: a proof was made with {:?}, not {:?}",
                proof.proof_config, self.config
            )));
        }
        expect(what, "public inputs", proof.public_inputs.len(), self.public_inputs)?;
        for cap in [
            &proof.witness_oracle_cap,
            &proof.stage_2_oracle_cap,
            &proof.quotient_oracle_cap,
            &proof.fri_base_oracle_cap,
        ]
        .into_iter()
        .chain(&proof.fri_intermediate_oracles_caps)
        {
            expect(what, "digests of a cap", cap.len(), self.cap)?;
        }
        let folded = self.fri.len().saturating_sub(1);
        expect(what, "folded oracles", proof.fri_intermediate_oracles_caps.len(), folded)?;
        for monomials in &proof.final_fri_monomials {
            expect(what, "final coefficients", monomials.len(), self.final_monomials)?;
        }
        expect(what, "openings at z", proof.values_at_z.len(), self.values_at_z)?;
        expect(what, "openings at z·ω", proof.values_at_z_omega.len(), self.values_at_z_omega)?;
        expect(what, "openings at 0", proof.values_at_0.len(), self.values_at_0)?;
        expect(what, "queries", proof.queries_per_fri_repetition.len(), self.queries)?;
        proof.queries_per_fri_repetition.iter().try_for_each(|query| self.check_query(what, query))
    }

    fn check_query(&self, what: &str, query: &SingleRoundQueries<F, TreeHasher>) -> Result<(), SetError> {
        let oracles: [&Query; 4] =
            [&query.witness_query, &query.stage_2_query, &query.quotient_query, &query.setup_query];
        expect(what, "FRI queries", query.fri_queries.len(), self.fri.len())?;
        let queries = oracles.into_iter().chain(&query.fri_queries);
        for (query, shape) in queries.zip(self.oracles.iter().chain(&self.fri)) {
            expect(what, "elements of a queried leaf", query.leaf_elements.len(), shape.leaf)?;
            expect(what, "digests of a path", query.proof.len(), shape.path)?;
        }
        Ok(())
    }
}

fn expect(what: &str, things: &str, found: usize, expected: usize) -> Result<(), SetError> {
    if found == expected {
        return Ok(());
    }
    Err(SetError::Inconsistent(format!(
        "{what}: {found} {things}, not {expected}: a proof or key of another circuit"
    )))
}
