//! A circuit of the shape of ZKsync Era's widest ones, at any number of rows.

use boojum::{
    cs::{
        cs_builder::{CsBuilder, CsBuilderImpl},
        gates::{
            ConstantsAllocatorGate, FmaGateInBaseFieldWithoutConstant, NopGate, PublicInputGate,
            ReductionGate,
        },
        toolboxes::{gate_config::GateConfigurationHolder, static_toolbox::StaticToolboxHolder},
        traits::{circuit::CircuitBuilder, cs::ConstraintSystem, gate::GatePlacementStrategy},
        CSGeometry, LookupParameters, Variable,
    },
    field::{Field, U64Representable},
    gadgets::{
        tables::trixor4::{create_tri_xor_table, TriXor4Table},
        traits::round_function::{BuildableCircuitRoundFunction, CircuitRoundFunction},
    },
};
use ingot_circuit_set::{
    field::{RoundFunction, F},
    SetCircuit,
};

/// 130 general columns with flattened Poseidon2 rows, six lookups of width 4 beside them: 171 setup polynomials, where Era has 167. Most
/// rows are empty, which proving does not notice.
#[derive(Clone, Copy, Debug)]
pub struct BenchCircuit {
    /// log2 of the rows; at least 13.
    pub rows_log2: u32,
}

impl BenchCircuit {
    const LOOKUPS: usize = 6;
    const PERMUTATIONS: usize = 400;
    const STEPS: u64 = 2000;
}

impl CircuitBuilder<F> for BenchCircuit {
    fn geometry() -> CSGeometry {
        CSGeometry {
            num_columns_under_copy_permutation: 130,
            num_witness_columns: 0,
            num_constant_columns: 8,
            max_allowed_constraint_degree: 8,
        }
    }

    fn lookup_parameters() -> LookupParameters {
        LookupParameters::UseSpecializedColumnsWithTableIdAsConstant {
            width: 4,
            num_repetitions: Self::LOOKUPS,
            share_table_id: true,
        }
    }

    fn configure_builder<T: CsBuilderImpl<F, T>, GC: GateConfigurationHolder<F>, TB: StaticToolboxHolder>(
        builder: CsBuilder<T, F, GC, TB>,
    ) -> CsBuilder<T, F, impl GateConfigurationHolder<F>, impl StaticToolboxHolder> {
        let general = GatePlacementStrategy::UseGeneralPurposeColumns;
        let builder = builder.allow_lookup(Self::lookup_parameters());
        let builder = ConstantsAllocatorGate::configure_builder(builder, general);
        let builder = RoundFunction::configure_builder(builder, general);
        let builder = FmaGateInBaseFieldWithoutConstant::configure_builder(builder, general);
        let builder = ReductionGate::<F, 4>::configure_builder(builder, general);
        let builder = PublicInputGate::configure_builder(builder, general);
        NopGate::configure_builder(builder, general)
    }
}

impl SetCircuit for BenchCircuit {
    fn trace_len(&self) -> usize {
        1 << self.rows_log2
    }

    fn max_variables(&self) -> usize {
        1 << 18
    }

    fn add_tables<CS: ConstraintSystem<F>>(&self, cs: &mut CS) {
        cs.add_lookup_table::<TriXor4Table, 4>(create_tri_xor_table());
    }

    fn synthesize<CS: ConstraintSystem<F> + 'static>(&self, cs: &mut CS) {
        let [a, b, c, d] =
            [3, 5, 7, 11].map(|x| cs.alloc_single_variable_from_witness(F::from_u64_unchecked(x)));
        let zero = ConstantsAllocatorGate::<F>::allocate_constant(cs, F::ZERO);
        let mut state: [Variable; 12] = [a, b, c, d, a, b, c, d, zero, zero, zero, zero];
        for _ in 0..Self::PERMUTATIONS {
            state = RoundFunction::compute_round_function(cs, state);
        }
        let mut x = state[0];
        for step in 0..Self::STEPS {
            // Few constants: each set of them takes rows of its own.
            let constant = F::from_u64_unchecked(step % 8 + 1);
            x = FmaGateInBaseFieldWithoutConstant::compute_fma(cs, F::ONE, (x, state[1]), constant, a);
            x = ReductionGate::reduce_terms(cs, [1, 2, 3, step % 8].map(F::from_u64_unchecked), [x, a, b, c]);
        }
        if let Some(table) = cs.get_table_id_for_marker::<TriXor4Table>() {
            let mut nibble = a;
            for _ in 0..Self::STEPS {
                [nibble] = cs.perform_lookup::<3, 1>(table, &[nibble, b, d]);
            }
        }
        PublicInputGate::new(x).add_to_cs(cs);
        PublicInputGate::new(state[2]).add_to_cs(cs);
        // Enough empty rows that the trace is not shrunk.
        for _ in 0..self.trace_len() * 3 / 4 {
            NopGate::new().add_to_cs(cs);
        }
    }
}
