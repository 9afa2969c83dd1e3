//! Columns and gates that all recursion circuits share.

use boojum::{
    cs::{
        cs_builder::{CsBuilder, CsBuilderImpl},
        gates::{
            BooleanConstraintGate, ConditionalSwapGate, ConstantsAllocatorGate, FmaGateInBaseFieldWithoutConstant,
            FmaGateInExtensionWithoutConstant, NopGate, ParallelSelectionGate, PublicInputGate, ReductionGate,
            SelectionGate, ZeroCheckGate,
        },
        traits::{circuit::CircuitBuilder, gate::GatePlacementStrategy},
        CSGeometry, GateConfigurationHolder, LookupParameters, StaticToolboxHolder,
    },
    gadgets::traits::round_function::BuildableCircuitRoundFunction,
};
use ingot_circuit_set::field::{Ext, RoundFunction, F};

fn envu(k: &str, d: usize) -> usize {
    std::env::var(k).ok().and_then(|v| v.parse().ok()).unwrap_or(d)
}

/// The gates of every recursion circuit, as a circuit type of its own: what a verifier of their proofs is built from.
#[derive(Clone, Copy, Debug)]
pub struct RecursionGates;

fn strat(k: &str, d: usize) -> GatePlacementStrategy {
    let n = envu(k, d);
    if n == 0 {
        GatePlacementStrategy::UseGeneralPurposeColumns
    } else {
        GatePlacementStrategy::UseSpecializedColumns { num_repetitions: n, share_constants: false }
    }
}

impl CircuitBuilder<F> for RecursionGates {
    fn geometry() -> CSGeometry {
        CSGeometry {
            num_columns_under_copy_permutation: envu("G_COPY", 52),
            num_witness_columns: 130 - envu("G_COPY", 52),
            num_constant_columns: 4,
            max_allowed_constraint_degree: 8,
        }
    }

    fn lookup_parameters() -> LookupParameters {
        LookupParameters::NoLookup
    }

    fn configure_builder<T: CsBuilderImpl<F, T>, GC: GateConfigurationHolder<F>, TB: StaticToolboxHolder>(
        builder: CsBuilder<T, F, GC, TB>,
    ) -> CsBuilder<T, F, impl GateConfigurationHolder<F>, impl StaticToolboxHolder> {
        let general = GatePlacementStrategy::UseGeneralPurposeColumns;
        let builder = ConstantsAllocatorGate::configure_builder(builder, general);
        let builder = BooleanConstraintGate::configure_builder(builder, strat("G_BOOL", 1));
        let builder = RoundFunction::configure_builder(builder, general);
        let builder = ZeroCheckGate::configure_builder(builder, strat("G_ZERO", 0), true);
        let builder = FmaGateInBaseFieldWithoutConstant::configure_builder(builder, strat("G_FMA", 8));
        let builder = FmaGateInExtensionWithoutConstant::<F, Ext>::configure_builder(builder, strat("G_EXT", 3));
        let builder = SelectionGate::configure_builder(builder, strat("G_SEL", 0));
        let builder = ParallelSelectionGate::<4>::configure_builder(builder, strat("G_PSEL", 1));
        let builder = ConditionalSwapGate::<4>::configure_builder(builder, strat("G_SWAP", 1));
        let builder = PublicInputGate::configure_builder(builder, general);
        let builder = ReductionGate::<F, 4>::configure_builder(builder, strat("G_RED", 0));
        NopGate::configure_builder(builder, general)
    }
}
