//! Gates and columns of the Poseidon2-heavy basic circuits.

use boojum::{
    cs::{
        cs_builder::{CsBuilder, CsBuilderImpl},
        gates::{
            BooleanConstraintGate, ConstantsAllocatorGate, FmaGateInBaseFieldWithoutConstant, NopGate,
            ParallelSelectionGate, PublicInputGate, ReductionGate, SelectionGate, ZeroCheckGate,
        },
        traits::gate::GatePlacementStrategy,
        CSGeometry, GateConfigurationHolder, StaticToolboxHolder,
    },
    gadgets::traits::round_function::BuildableCircuitRoundFunction,
};
use ingot_circuit_set::field::{RoundFunction, F};

/// 52 copied and 78 witness-only columns: the flattened Poseidon2 gate takes exactly one row.
pub const POSEIDON_GEOMETRY: CSGeometry = CSGeometry {
    num_columns_under_copy_permutation: 52,
    num_witness_columns: 78,
    num_constant_columns: 4,
    max_allowed_constraint_degree: 8,
};

fn columns(num_repetitions: usize) -> GatePlacementStrategy {
    // Sharing constants across repetitions breaks the CPU prover for gates that have them.
    GatePlacementStrategy::UseSpecializedColumns { num_repetitions, share_constants: false }
}

/// Gates of the circuits that mostly hash (every one of which they must use: setup refuses a gate without a row): Poseidon2 rows, with booleans in `BOOLEANS` columns of their own.
pub fn poseidon_gates<
    T: CsBuilderImpl<F, T>,
    GC: GateConfigurationHolder<F>,
    TB: StaticToolboxHolder,
    const BOOLEANS: usize,
>(
    builder: CsBuilder<T, F, GC, TB>,
) -> CsBuilder<T, F, impl GateConfigurationHolder<F>, impl StaticToolboxHolder> {
    let general = GatePlacementStrategy::UseGeneralPurposeColumns;
    let builder = ConstantsAllocatorGate::configure_builder(builder, general);
    let builder = BooleanConstraintGate::configure_builder(builder, columns(BOOLEANS));
    let builder = RoundFunction::configure_builder(builder, general);
    let builder = ZeroCheckGate::configure_builder(builder, general, true);
    let builder = FmaGateInBaseFieldWithoutConstant::configure_builder(builder, general);
    let builder = SelectionGate::configure_builder(builder, general);
    let builder = ParallelSelectionGate::<4>::configure_builder(builder, general);
    let builder = ReductionGate::<F, 4>::configure_builder(builder, general);
    let builder = PublicInputGate::configure_builder(builder, general);
    NopGate::configure_builder(builder, general)
}
