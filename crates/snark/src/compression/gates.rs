//! Columns and gates of the compression circuits.

use boojum::cs::{
    cs_builder::{CsBuilder, CsBuilderImpl},
    traits::{circuit::CircuitBuilder, gate::GatePlacementStrategy},
    CSGeometry, GateConfigurationHolder, LookupParameters, StaticToolboxHolder,
};
use ingot_circuit_set::field::F;
use ingot_ledger::{
    gadgets::geometry::POSEIDON_GEOMETRY,
    recursion::geometry::{columns, configure_verifier, VerifierPlacements},
};

/// The first step's: those of the circuits that it verifies.
pub type FirstGates = ingot_ledger::recursion::RecursionGates;

/// The last step's. Every committed column is hashed once a query in the wrapper, so that only as much has columns of its
/// own as 2^13 rows demand.
#[derive(Clone, Copy, Debug)]
pub struct LastGates;

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
        let placements = VerifierPlacements {
            base_fma: columns(6),
            extension_fma: columns(3),
            selection: general,
            parallel_selection: general,
        };
        configure_verifier(builder, placements)
    }
}
