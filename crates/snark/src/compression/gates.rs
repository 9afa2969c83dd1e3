//! Columns and gates of the compression circuits.

use boojum::{
    cs::{
        cs_builder::{CsBuilder, CsBuilderImpl},
        gates::{
            BooleanConstraintGate, ConditionalSwapGate, ConstantsAllocatorGate,
            FmaGateInBaseFieldWithoutConstant, FmaGateInExtensionWithoutConstant, NopGate,
            ParallelSelectionGate, PublicInputGate, ReductionGate, SelectionGate, ZeroCheckGate,
        },
        traits::{circuit::CircuitBuilder, gate::GatePlacementStrategy},
        CSGeometry, GateConfigurationHolder, LookupParameters, StaticToolboxHolder,
    },
    gadgets::traits::round_function::BuildableCircuitRoundFunction,
};
use ingot_circuit_set::field::{Ext, RoundFunction, F};
use ingot_ledger::gadgets::geometry::POSEIDON_GEOMETRY;

/// The first step's: those of the circuits that it verifies.
pub type FirstGates = ingot_ledger::recursion::RecursionGates;

/// The last step's. Every committed column is hashed once a query in the wrapper, so that only as much has columns of its
/// own as 2^13 rows demand.
#[derive(Clone, Copy, Debug)]
pub struct LastGates;

/// `num_repetitions` instances in a row, in columns of their own.
fn columns(num_repetitions: usize) -> GatePlacementStrategy {
    GatePlacementStrategy::UseSpecializedColumns { num_repetitions, share_constants: false }
}

impl CircuitBuilder<F> for LastGates {
    fn geometry() -> CSGeometry {
        POSEIDON_GEOMETRY
    }

    fn lookup_parameters() -> LookupParameters {
        LookupParameters::NoLookup
    }

    fn configure_builder<T: CsBuilderImpl<F, T>, GC: GateConfigurationHolder<F>, TB: StaticToolboxHolder>(
        builder: CsBuilder<T, F, GC, TB>,
    ) -> CsBuilder<T, F, impl GateConfigurationHolder<F>, impl StaticToolboxHolder> {
        let general = GatePlacementStrategy::UseGeneralPurposeColumns;
        let builder = ConstantsAllocatorGate::configure_builder(builder, general);
        let builder = BooleanConstraintGate::configure_builder(builder, general);
        let builder = RoundFunction::configure_builder(builder, general);
        let builder = ZeroCheckGate::configure_builder(builder, general, true);
        let builder = FmaGateInBaseFieldWithoutConstant::configure_builder(builder, columns(6));
        let builder = FmaGateInExtensionWithoutConstant::<F, Ext>::configure_builder(builder, columns(3));
        let builder = SelectionGate::configure_builder(builder, general);
        let builder = ParallelSelectionGate::<4>::configure_builder(builder, general);
        let builder = ConditionalSwapGate::<4>::configure_builder(builder, general);
        let builder = PublicInputGate::configure_builder(builder, general);
        let builder = ReductionGate::<F, 4>::configure_builder(builder, general);
        NopGate::configure_builder(builder, general)
    }
}
