//! Where everything of a circuit lies: columns, terms, degrees. Plain numbers, derived once from the verification key
//! and the circuit's gates.

use boojum::cs::{
    implementations::copy_permutation::num_intermediate_partial_product_relations, LookupParameters,
};
use ingot_circuit_set::{
    field::{ProofConfig, Vk},
    GateSet,
};

use crate::{protocol::Schedule, ProverError};

/// The lookup argument over specialized columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookupLayout {
    /// First variable column of the first subargument.
    pub first_variable: usize,
    /// Variable columns of one subargument.
    pub columns: usize,
    /// Subarguments side by side.
    pub subarguments: usize,
    /// The constant column with the table id; absent where the id is the last variable of each subargument.
    pub table_id: Option<usize>,
    /// Table columns, with the id column last.
    pub table_columns: usize,
}

/// Sizes and positions of one circuit's polynomials. Polynomials of an oracle are in its leaf's order:
///
/// * setup: permutation polynomials, constants, lookup tables;
/// * witness: variables, witnesses, multiplicity;
/// * stage 2 (pairs c0, c1): z, partial products, one per lookup subargument, one for the tables;
/// * quotient (pairs): chunks of the quotient.
#[derive(Clone, Debug)]
pub struct Layout {
    /// log2 of the number of rows.
    pub rows_log2: u32,
    /// Columns under the copy permutation.
    pub variables: usize,
    /// Witness columns.
    pub witnesses: usize,
    /// Constant columns, selectors among them.
    pub constants: usize,
    /// Constant columns before those of specialized gates.
    pub general_constants: usize,
    /// The lookup argument, if any.
    pub lookup: Option<LookupLayout>,
    /// Degree of the quotient in units of the number of rows, a power of two; also columns per partial product.
    pub quotient_degree: usize,
    /// Partial products between z(x) and z(ωx).
    pub partial_products: usize,
    /// (column, row) of each public input.
    pub public_inputs: Vec<(usize, usize)>,
    /// log2 of the low-degree extension's factor.
    pub lde_log2: u32,
    /// Nodes in the cap of each Merkle tree.
    pub cap_size: usize,
    /// Terms of all gates.
    pub gate_terms: usize,
    /// Queries, folding, proof of work.
    pub schedule: Schedule,
}

impl Layout {
    /// The layout of the circuit of `vk`, whose gates are `gates`, proved under `config`.
    ///
    /// # Errors
    /// [`ProverError::Unsupported`] for what neither this prover nor the proof library's can prove.
    pub fn new(vk: &Vk, gates: &GateSet, config: &ProofConfig) -> Result<Self, ProverError> {
        let fixed = &vk.fixed_parameters;
        let unsupported = |what: String| Err(ProverError::Unsupported { what });
        if !fixed.domain_size.is_power_of_two() || fixed.domain_size < 8 {
            return unsupported(format!("{} rows: a power of two, at least 8, is needed", fixed.domain_size));
        }
        let rows_log2 = fixed.domain_size.trailing_zeros();
        let variables = fixed.parameters.num_columns_under_copy_permutation + gates.specialized_variables;
        let (_, general_constants) = fixed.selectors_placement.compute_stats();
        let table_columns = fixed.lookup_parameters.lookup_width() + 1;
        let lookup_gate = gates.specialized.iter().find(|gate| gate.is_lookup);
        let lookup = match (fixed.lookup_parameters, lookup_gate) {
            (LookupParameters::NoLookup, _) => None,
            (
                LookupParameters::UseSpecializedColumnsWithTableIdAsVariable { num_repetitions, .. }
                | LookupParameters::UseSpecializedColumnsWithTableIdAsConstant { num_repetitions, .. },
                Some(gate),
            ) => Some(LookupLayout {
                first_variable: gate.start.variables,
                columns: fixed.lookup_parameters.specialized_columns_per_subargument() as usize,
                subarguments: num_repetitions,
                table_id: fixed.table_ids_column_idxes.first().copied(),
                table_columns,
            }),
            (other, _) => return unsupported(format!("lookups over general columns ({other:?})")),
        };
        let quotient_degree = fixed.quotient_degree;
        if !quotient_degree.is_power_of_two() || quotient_degree < 2 {
            return unsupported(format!(
                "quotient degree {quotient_degree}: a power of two, at least 2, is needed"
            ));
        }
        if variables <= quotient_degree {
            // The proof library commits to one polynomial more than its verifier expects.
            return unsupported(format!("{variables} columns for a quotient of degree {quotient_degree}"));
        }
        if !config.fri_lde_factor.is_power_of_two() || config.fri_lde_factor < 2 {
            return unsupported(format!("low-degree extension by {}", config.fri_lde_factor));
        }
        let lde_log2 = config.fri_lde_factor.trailing_zeros();
        let all = gates.specialized.iter().map(|placed| &placed.gate).chain(&gates.general);
        let gate_terms = all.map(|gate| gate.repetitions * gate.tape.terms.len()).sum();
        Ok(Self {
            rows_log2,
            variables,
            witnesses: fixed.parameters.num_witness_columns + gates.specialized_witnesses,
            constants: general_constants + gates.specialized_constants,
            general_constants,
            lookup,
            quotient_degree,
            partial_products: num_intermediate_partial_product_relations(variables, quotient_degree),
            public_inputs: fixed.public_inputs_locations.clone(),
            lde_log2,
            cap_size: config.merkle_tree_cap_size,
            gate_terms,
            schedule: Schedule::new(config, rows_log2)?,
        })
    }

    /// Rows.
    pub const fn rows(&self) -> usize {
        1 << self.rows_log2
    }

    /// Polynomials of the setup oracle.
    pub fn setup_columns(&self) -> usize {
        self.variables + self.constants + self.lookup.as_ref().map_or(0, |l| l.table_columns)
    }

    /// Polynomials of the witness oracle.
    pub fn witness_columns(&self) -> usize {
        self.variables + self.witnesses + usize::from(self.lookup.is_some())
    }

    /// Terms of the lookup argument, which are also its pairs of polynomials in stage 2.
    pub fn lookup_terms(&self) -> usize {
        self.lookup.as_ref().map_or(0, |l| l.subarguments + 1)
    }

    /// Polynomials of the stage 2 oracle.
    pub fn stage2_columns(&self) -> usize {
        2 * (1 + self.partial_products + self.lookup_terms())
    }

    /// Polynomials of the quotient oracle.
    pub const fn quotient_columns(&self) -> usize {
        2 * self.quotient_degree
    }

    /// Powers of α that the quotient takes.
    pub fn quotient_terms(&self) -> usize {
        self.lookup_terms() + self.gate_terms + 2 + self.partial_products
    }

    /// Memory that one proof takes on a device that keeps coefficients and one coset of values, in bytes: setup included,
    /// witness vector not.
    pub fn proving_bytes(&self) -> u64 {
        let column = 8 * self.rows() as u64;
        let columns = |count: usize| count as u64 * column;
        let oracles =
            [self.setup_columns(), self.witness_columns(), self.stage2_columns(), self.quotient_columns()];
        let coefficients: u64 = oracles.into_iter().map(columns).sum();
        // 32 bytes a leaf, and as much for all nodes above them.
        let trees = (4 * 64 * self.rows() as u64) << self.lde_log2;
        let places = columns(self.variables + self.witnesses) / 2;
        // The values of all oracles on one coset, and the quotient's before it is cut into chunks; later the codeword
        // with its trees, which is no more unless the extension is large.
        let [setup, witness, stage2, quotient] = oracles.map(columns);
        let quotient_step = setup + witness + stage2 + quotient;
        let fri_step = (2 * column + 16 * self.rows() as u64) << self.lde_log2;
        coefficients + trees + places + quotient_step.max(fri_step)
    }

    /// Public inputs by the row they lie on, rows in order of first appearance: (row, (which input, its column)).
    pub fn public_inputs_by_row(&self) -> Vec<(usize, Vec<(usize, usize)>)> {
        let mut rows: Vec<(usize, Vec<(usize, usize)>)> = Vec::new();
        for (input, &(column, row)) in self.public_inputs.iter().enumerate() {
            match rows.iter_mut().find(|(r, _)| *r == row) {
                Some((_, inputs)) => inputs.push((input, column)),
                None => rows.push((row, vec![(input, column)])),
            }
        }
        rows
    }
}
