//! The last compression proof as variables.

use bellman::{
    bn256::{Bn256, Fr},
    plonk::better_better_cs::cs::ConstraintSystem,
    SynthesisError,
};
use boojum::cs::implementations::proof::OracleQuery;
use ingot_circuit_set::field::F;
use ingot_prover::Layout;

use super::{
    builder::{Builder, Sum, Wire},
    goldilocks::{Element, Ext},
};
use crate::compression::{Bn254Hasher, StepProof};

type Result<T> = std::result::Result<T, SynthesisError>;
type NativeProof = StepProof<Bn254Hasher>;
type NativeQuery = OracleQuery<F, Bn254Hasher>;

/// A leaf and the nodes beside its way up.
#[derive(Debug)]
pub(super) struct Opened {
    pub leaf: Vec<Element>,
    pub path: Vec<Wire>,
}

/// What is opened for one query.
#[derive(Debug)]
pub(super) struct Query {
    pub witness: Opened,
    pub stage2: Opened,
    pub quotient: Opened,
    pub setup: Opened,
    pub fri: Vec<Opened>,
}

/// A proof.
#[derive(Debug)]
pub(super) struct Proof {
    pub public_inputs: Vec<Element>,
    pub witness_cap: Vec<Sum>,
    pub stage2_cap: Vec<Sum>,
    pub quotient_cap: Vec<Sum>,
    pub fri_caps: Vec<Vec<Sum>>,
    pub at_z: Vec<Ext>,
    pub at_z_omega: Ext,
    /// Coefficients after the last fold: c0 of each, then c1.
    pub last: [Vec<Element>; 2],
    pub nonce: Option<u64>,
    pub queries: Vec<Query>,
}

/// The values of a list, which must be as long as it should be, or none.
fn listed<T: Clone>(count: usize, list: Option<&Vec<T>>) -> Result<Vec<Option<T>>> {
    match list {
        None => Ok(vec![None; count]),
        Some(list) if list.len() == count => Ok(list.iter().cloned().map(Some).collect()),
        Some(_) => Err(SynthesisError::Unsatisfiable),
    }
}

impl<CS: ConstraintSystem<Bn256>> Builder<'_, CS> {
    /// Allocates a proof of a circuit of this layout. Words are below 2^64; all else is up to the verifier.
    pub(super) fn allocate_proof(&mut self, layout: &Layout, proof: Option<&NativeProof>) -> Result<Proof> {
        let (cap, schedule) = (layout.cap_size, &layout.schedule);
        let openings = layout.variables * 2
            + layout.witnesses
            + layout.constants
            + 1
            + layout.partial_products
            + layout.quotient_degree;
        let folds = schedule.folds_log2.len();
        let caps = {
            let mut caps = vec![proof.map(|p| &p.fri_base_oracle_cap)];
            match proof.map(|p| &p.fri_intermediate_oracles_caps) {
                None => caps.resize(folds, None),
                Some(more) if more.len() + 1 == folds => caps.extend(more.iter().map(Some)),
                Some(_) => return Err(SynthesisError::Unsatisfiable),
            }
            caps
        };
        let at_z_omega = self.opened_values(1, proof.map(|p| &p.values_at_z_omega))?.pop();
        let queries = match proof.map(|p| &p.queries_per_fri_repetition) {
            None => vec![None; schedule.queries],
            Some(queries) if queries.len() == schedule.queries => queries.iter().map(Some).collect(),
            Some(_) => return Err(SynthesisError::Unsatisfiable),
        };
        Ok(Proof {
            public_inputs: self.words_of(layout.public_inputs.len(), proof.map(|p| &p.public_inputs))?,
            witness_cap: self.cap(cap, proof.map(|p| &p.witness_oracle_cap))?,
            stage2_cap: self.cap(cap, proof.map(|p| &p.stage_2_oracle_cap))?,
            quotient_cap: self.cap(cap, proof.map(|p| &p.quotient_oracle_cap))?,
            fri_caps: caps.into_iter().map(|given| self.cap(cap, given)).collect::<Result<_>>()?,
            at_z: self.opened_values(openings, proof.map(|p| &p.values_at_z))?,
            at_z_omega: at_z_omega.ok_or(SynthesisError::Unsatisfiable)?,
            last: [
                self.words_of(schedule.final_degree, proof.map(|p| &p.final_fri_monomials[0]))?,
                self.words_of(schedule.final_degree, proof.map(|p| &p.final_fri_monomials[1]))?,
            ],
            nonce: proof.map(|p| p.pow_challenge),
            queries: queries
                .into_iter()
                .map(|query| {
                    let depth = (layout.rows_log2 + layout.lde_log2 - cap.trailing_zeros()) as usize;
                    let mut opened = |elements, given| self.opened(elements, depth, given);
                    let witness = opened(layout.witness_columns(), query.map(|q| &q.witness_query))?;
                    let stage2 = opened(layout.stage2_columns(), query.map(|q| &q.stage_2_query))?;
                    let quotient = opened(layout.quotient_columns(), query.map(|q| &q.quotient_query))?;
                    let setup = opened(layout.setup_columns(), query.map(|q| &q.setup_query))?;
                    let mut depth = depth;
                    let mut fri = Vec::with_capacity(folds);
                    for (fold, fold_log2) in schedule.folds_log2.iter().enumerate() {
                        let given = match query.map(|q| &q.fri_queries) {
                            None => None,
                            Some(given) => Some(given.get(fold).ok_or(SynthesisError::Unsatisfiable)?),
                        };
                        depth = depth.saturating_sub(*fold_log2 as usize);
                        fri.push(self.opened(2 << fold_log2, depth, given)?);
                    }
                    Ok(Query { witness, stage2, quotient, setup, fri })
                })
                .collect::<Result<_>>()?,
        })
    }

    fn words_of(&mut self, count: usize, given: Option<&Vec<F>>) -> Result<Vec<Element>> {
        let values = listed(count, given)?;
        values.into_iter().map(|value| self.allocate_word(value.map(|x| x.to_reduced_u64()))).collect()
    }

    fn opened_values(
        &mut self,
        count: usize,
        given: Option<&Vec<boojum::field::ExtensionField<F, 2, ingot_circuit_set::field::Ext>>>,
    ) -> Result<Vec<Ext>> {
        let mut all = Vec::with_capacity(count);
        for value in listed(count, given)? {
            let [c0, c1] = match value.map(|value| value.into_coeffs_in_base()) {
                Some(values) => values.map(|x| Some(x.to_reduced_u64())),
                None => [None, None],
            };
            all.push(Ext([self.allocate_word(c0)?, self.allocate_word(c1)?]));
        }
        Ok(all)
    }

    fn cap(&mut self, count: usize, given: Option<&Vec<Fr>>) -> Result<Vec<Sum>> {
        listed(count, given)?.into_iter().map(|node| self.allocate(node).map(Sum::from)).collect()
    }

    fn opened(&mut self, elements: usize, depth: usize, given: Option<&NativeQuery>) -> Result<Opened> {
        let leaf = self.words_of(elements, given.map(|query| &query.leaf_elements))?;
        let path = listed(depth, given.map(|query| &query.proof))?;
        let path = path.into_iter().map(|node| self.allocate(node)).collect::<Result<_>>()?;
        Ok(Opened { leaf, path })
    }
}
