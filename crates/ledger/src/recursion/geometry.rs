//! Columns and gates that all recursion circuits share.

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

use crate::gadgets::geometry::POSEIDON_GEOMETRY;

/// The gates of every recursion circuit, as a circuit type of its own: what a verifier of their proofs is built from.
///
/// One proof verified costs about 6,600 Poseidon2 rows at LDE 16 with 44 queries, and two of them must fit 2^14 rows. So
/// what would not fit in the rows left beside them has columns of its own: base and extension multiplications and
/// selections. What remains (swaps, zero checks, reductions, booleans, constants) shares those rows. Of the placements
/// that fit, this one commits the fewest columns: 129 copied and 78 witness-only; the node fills 98% of its rows.
#[derive(Clone, Copy, Debug)]
pub struct RecursionGates;

/// `num_repetitions` instances in a row, in columns of their own.
pub fn columns(num_repetitions: usize) -> GatePlacementStrategy {
    // Sharing constants across repetitions breaks the CPU prover for gates that have them.
    GatePlacementStrategy::UseSpecializedColumns { num_repetitions, share_constants: false }
}

impl CircuitBuilder<F> for RecursionGates {
    fn geometry() -> CSGeometry {
        POSEIDON_GEOMETRY
    }

    fn lookup_parameters() -> LookupParameters {
        LookupParameters::NoLookup
    }

    fn configure_builder<T: CsBuilderImpl<F, T>, GC: GateConfigurationHolder<F>, TB: StaticToolboxHolder>(
        builder: CsBuilder<T, F, GC, TB>,
    ) -> CsBuilder<T, F, impl GateConfigurationHolder<F>, impl StaticToolboxHolder> {
        let placements = VerifierPlacements {
            base_fma: columns(7),
            extension_fma: columns(4),
            selection: columns(1),
            parallel_selection: columns(1),
        };
        configure_verifier(builder, placements)
    }
}

/// Where the gates stand that a verifying circuit may give columns of their own.
#[derive(Clone, Copy, Debug)]
pub struct VerifierPlacements {
    /// Multiplications in the base field.
    pub base_fma: GatePlacementStrategy,
    /// Multiplications in the extension.
    pub extension_fma: GatePlacementStrategy,
    /// Selections of one element.
    pub selection: GatePlacementStrategy,
    /// Selections of four elements.
    pub parallel_selection: GatePlacementStrategy,
}

/// The gates of a circuit that verifies proofs, in the order that its keys depend on. All but those placed by `placements`
/// share the general-purpose columns.
///
/// Every gate allowed here is used by every such circuit (setup refuses one that is not), which makes the selectors of leaf
/// and node the same.
pub fn configure_verifier<T: CsBuilderImpl<F, T>, GC: GateConfigurationHolder<F>, TB: StaticToolboxHolder>(
    builder: CsBuilder<T, F, GC, TB>,
    placements: VerifierPlacements,
) -> CsBuilder<T, F, impl GateConfigurationHolder<F>, impl StaticToolboxHolder> {
    let general = GatePlacementStrategy::UseGeneralPurposeColumns;
    let builder = ConstantsAllocatorGate::configure_builder(builder, general);
    let builder = BooleanConstraintGate::configure_builder(builder, general);
    let builder = RoundFunction::configure_builder(builder, general);
    let builder = ZeroCheckGate::configure_builder(builder, general, true);
    let builder = FmaGateInBaseFieldWithoutConstant::configure_builder(builder, placements.base_fma);
    let builder =
        FmaGateInExtensionWithoutConstant::<F, Ext>::configure_builder(builder, placements.extension_fma);
    let builder = SelectionGate::configure_builder(builder, placements.selection);
    let builder = ParallelSelectionGate::<4>::configure_builder(builder, placements.parallel_selection);
    let builder = ConditionalSwapGate::<4>::configure_builder(builder, general);
    let builder = PublicInputGate::configure_builder(builder, general);
    let builder = ReductionGate::<F, 4>::configure_builder(builder, general);
    NopGate::configure_builder(builder, general)
}
